"""`inspect` shows what the network does, as NumPy computes it."""

import random

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.exports import served_signatures
from helpers.models import small_models
from kerasrnn_export.graph import inspection
from kerasrnn_export.graph.sampler import Sampler

from kerasrnn.contract import signatures
from kerasrnn.model.char_rnn import sequence_logits
from kerasrnn.text.vocabulary import Vocabulary

TEXTS = ("", "a", "abc.é€Ж🙂\n", "z🙃ø", "a\0b", "h🙂 " * 30)


def _label(character):
    """What stands for a character of a byte vocabulary, or of another."""
    if isinstance(character, int):
        return chr(character) if character < 0x80 else f"\\x{character:02x}"
    return character


class InspectTest(parameterized.TestCase):
    @parameterized.parameters(*served_signatures.MODELS)
    def test_numpy_gives_the_same_activations_and_candidates(self, name):
        """From a SavedModel, by the loader that servers use."""
        served = served_signatures.Exported.of(name)
        labels = [_label(c) for c in served.vocabulary.characters]
        if served.vocabulary.kind == "bytes":
            labels = [_label(ord(c)) for c in served.vocabulary.characters]
        rows = served("inspect", [{"text": text} for text in TEXTS])
        for text, row in zip(TEXTS, rows, strict=True):
            self.assertEqual(row["error"], b"")
            ids = served.vocabulary.encode(text).tolist()
            self.assertEqual(row["length"], len(ids))
            model = small_models.NumpyModel(served.config, served.weights)
            model.read(served.vocabulary.start_id)
            for time, token in enumerate(ids):
                model.read(token)
                np.testing.assert_allclose(
                    row["activations"][time], model.activations(), atol=1e-5
                )
                expected = dict(zip(labels, model.log_probs()[1:], strict=True))
                received = row["top_log_probs"][time]
                np.testing.assert_allclose(
                    received, sorted(expected.values())[:-6:-1], atol=1e-4
                )
                shown = [c.decode() for c in row["top_characters"][time]]
                self.assertLen(set(shown), signatures.TOP_CHARACTERS)
                np.testing.assert_allclose(
                    [expected[c] for c in shown], received, atol=1e-4
                )

    @parameterized.parameters(*served_signatures.MODELS)
    def test_the_live_model_gives_the_same_log_probabilities(self, name):
        """`CharRNN`'s own pass over the text, all characters at once."""
        served = served_signatures.Exported.of(name)
        text = "abc é Ж€.\nh 🙂" * 5
        ids = served.vocabulary.encode(text)
        read = tf.constant([[served.vocabulary.start_id, *ids]], tf.int32)
        weights = [tf.constant(weight) for weight in served.weights]
        states = served.config.num_layers * (
            2 if served.config.cell == "lstm" else 1
        )
        logits, _ = sequence_logits(
            served.config,
            weights,
            read,
            [tf.zeros([1, served.config.units])] * states,
        )
        expected = tf.math.top_k(tf.nn.log_softmax(logits[0, 1:]), 5).values
        row = served.inspect(text)
        np.testing.assert_allclose(row["top_log_probs"], expected, atol=1e-4)

    def test_characters_are_those_of_the_text(self):
        texts = ["aé🙂z", b"\xffa\xe2\x82", "a\0", ""]
        for name, expected in (
            ("lstm", [["a", "é", "🙂", "z"], ["\ufffd", "a", "\ufffd"],
                      ["a", "\0"], []]),
            ("gru_bytes", [
                ["a", "\\xc3", "\\xa9", "\\xf0", "\\x9f", "\\x99", "\\x82",
                 "z"],
                ["\\xff", "a", "\\xe2", "\\x82"], ["a", "\0"], []]),
        ):  # fmt: skip
            served = served_signatures.Exported.of(name)
            rows = served("inspect", [{"text": text} for text in texts])
            for row, characters in zip(rows, expected, strict=True):
                shown = [c.decode() for c in row["characters"]]
                self.assertEqual(shown[: row["length"]], characters)
                self.assertFalse(any(shown[row["length"] :]))

    @parameterized.parameters(*served_signatures.MODELS)
    def test_a_text_in_pieces_is_the_text_at_once(self, name):
        served = served_signatures.Exported.of(name)
        chance = random.Random(name)
        for _ in range(5):
            text = "a" + served_signatures.random_text(chance, 60)
            whole = served.inspect(text)
            state, start, parts = b"", 0, []
            while start < len(text):
                stop = start + chance.randint(1, 20)
                row = served.inspect(text[start:stop], state)
                state, start = row["state_bytes"], stop
                parts.append(row)
            for key in ("characters", "activations", "top_log_probs"):
                joined = [value for part in parts for value in part[key]]
                np.testing.assert_array_equal(joined, list(whole[key]))
            self.assertEqual(state, whole["state_bytes"])

    @parameterized.parameters(*served_signatures.MODELS)
    def test_the_token_goes_on_as_that_of_generate(self, name):
        served = served_signatures.Exported.of(name)
        read = served.generate("ab é", length=0)["state_bytes"]
        self.assertEqual(served.inspect("ab é")["state_bytes"], read)

    def test_a_vocabulary_of_fewer_characters_leaves_places_empty(self):
        vocabulary = Vocabulary.from_text("abc")
        config = small_models.make_config(vocabulary)
        weights = small_models.random_weights(config)
        sampler = Sampler(config, weights, vocabulary)
        shown = sampler.inspect(tf.constant(["ab"]), tf.constant([""]))
        characters = shown["top_characters"][0].numpy()
        self.assertEqual(characters.shape, (2, 5))
        for row in characters.tolist():
            self.assertEqual(sorted(row[:3]), [b"a", b"b", b"c"])
            self.assertEqual(row[3:], [b"", b""])
        log_probs = shown["top_log_probs"][0].numpy()
        np.testing.assert_allclose(
            np.exp(log_probs[:, :3]).sum(axis=1), 1, atol=1e-6
        )
        self.assertFalse(log_probs[:, 3:].any())

    def test_of_equals_the_first_comes_first(self):
        ids, log_probs = inspection.top_candidates(
            tf.constant([[-1e9, 1.0, 2.0, 2.0, 1.0]]), 3
        )
        self.assertEqual(ids.numpy().tolist(), [[2, 3, 1]])
        self.assertEqual(log_probs[0, 0], log_probs[0, 1])


if __name__ == "__main__":
    absltest.main()

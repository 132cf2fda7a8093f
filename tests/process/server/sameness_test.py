"""The same model, row and seed give the same text, wherever and with whom.

What one row alone gives in a session is compared with what it gives in any
position of a batch of any size to 32, in a new process, from the local
server, and live in this process. Each text that differs must be traced to a
draw next to a boundary: one-row products take another kernel, so the last
bits of a row's numbers may differ between numbers of rows.
"""

import random
import sys

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.exports import served_signatures
from helpers.full_counts import FULL
from helpers.models import small_models
from helpers.servers import session_runner
from kerasrnn_serving.client import Client
from kerasrnn_serving.server.local_server import LocalServer
from kerasrnn_serving.server.local_server import open_versions

from kerasrnn.contract import signatures
from kerasrnn.model.text_generator import TextGenerator
from kerasrnn.sampling.filters import kept_characters
from kerasrnn.sampling.gumbel import gumbel_noise

LENGTH = 200
# Texts, and how many of 1,000 may differ.
COUNTS = {
    "2x128": (1000 if FULL else 16, 0),
    "3x512": (1000 if FULL else 3, 10),
}
# How near to a boundary a draw may fall either way.
NEAR = 1e-4


def _random_row(chance, seed):
    row = {
        "prompt": served_signatures.random_text(
            chance, 20, served_signatures.CHARACTERS + "ø"
        ),
        "length": LENGTH,
        "temperature": chance.choice([1.0, 1.0, 0.7, 1.3, 0.0]),
        "seed": seed,
    }
    if chance.random() < 0.2:
        row |= {"top_k": 20, "top_p": 0.9}
    return row


def _batches(chance, count):
    """Yields lists of row numbers: each row once, sizes 1 to 32 in turn."""
    order = chance.sample(range(count), count)
    sizes = []
    while order:
        sizes = sizes or chance.sample(range(1, 33), 32)
        size = sizes.pop()
        yield order[:size]
        order = order[size:]


class SamenessTest(parameterized.TestCase):
    @parameterized.product(size=list(COUNTS))
    def test_sameness(self, size):
        if size == "3x512" and not FULL:
            self.skipTest("KERASRNN_FULL is not set: this takes minutes")
        count, allowed = COUNTS[size]
        exported = served_signatures.Exported.of(size)
        chance = random.Random(size)
        rows = [_random_row(chance, seed) for seed in range(count)]
        alone = [exported.generate(**row)["text"].decode() for row in rows]
        self.assertEqual({len(text) for text in alone}, {LENGTH})
        everywhere = {
            "batches": self._in_batches,
            "restarted": self._restarted,
            "served": self._served,
            "live": self._live,
        }
        different = set()
        for where, texts in everywhere.items():
            for index, text in texts(exported, rows, chance):
                if text == alone[index]:
                    continue
                different.add(index)
                distance = _distance(exported, rows[index], alone[index], text)
                print(f"\n{size}: text {index} {where}: {distance:.1e} away")
                self.assertLess(distance, NEAR, (where, rows[index]))
        print(
            f"\n{size}: {count - len(different)} of {count} texts are the same"
        )
        self.assertLessEqual(len(different), allowed * count / 1000)

    def _in_batches(self, exported, rows, chance):
        for batch in _batches(chance, len(rows)):
            answers = exported("generate", [rows[index] for index in batch])
            for index, answer in zip(batch, answers, strict=True):
                yield index, answer["text"].decode()

    def _restarted(self, exported, rows, chance):
        batches = list(_batches(chance, len(rows)))
        calls = [
            ("generate", exported.batch("generate", [rows[i] for i in batch]))
            for batch in batches
        ]
        answers = session_runner.run_elsewhere(
            sys.executable, exported.directory, calls
        )
        for batch, answer in zip(batches, answers, strict=True):
            for index, text in zip(batch, answer["text"], strict=True):
                yield index, text.decode()

    def _served(self, exported, rows, chance):
        directory = exported.directory.parent
        server = LocalServer(open_versions("kerasrnn", directory))
        port = server.start("127.0.0.1", 0)
        names = [entry.name for entry in signatures.GENERATE.inputs]
        with Client(f"127.0.0.1:{port}") as client:
            for batch in _batches(chance, len(rows)):
                inputs = exported.batch("generate", [rows[i] for i in batch])
                inputs["state_bytes"] = [b""] * len(batch)
                results = client.generate(
                    inputs[names[0]],
                    **{name: inputs[name] for name in names[1:]},
                )
                for index, result in zip(batch, results, strict=True):
                    yield index, result.text
        server.stop(0)

    def _live(self, exported, rows, chance):
        del chance
        generator = TextGenerator(exported.config, exported.vocabulary)
        weights = [tf.constant(weight) for weight in exported.weights]
        for index, row in enumerate(rows):
            chunks = generator.stream(weights, **row)
            yield index, "".join(chunk.text for chunk in chunks)

    def test_a_difference_is_traced(self):
        """The distance of a draw from what it did not draw is seen."""
        exported = served_signatures.Exported.of("2x128")
        row = {"prompt": "ab", "length": 20, "temperature": 1.0, "seed": 1}
        text = exported.generate(**row)["text"].decode()
        wrong = "a" if text[7] != "a" else "b"
        other = text[:7] + wrong + text[8:]
        self.assertGreater(_distance(exported, row, text, other), NEAR)


def _distance(exported, row, text, other):
    """How far the first draw that differs is from drawing the other id.

    By NumPy in float64: the difference of their logits with noise.
    """
    vocabulary = exported.vocabulary
    place = next(
        index
        for index, pair in enumerate(zip(text, other, strict=True))
        if pair[0] != pair[1]
    )
    model = small_models.NumpyModel(exported.config, exported.weights)
    model.read(vocabulary.start_id)
    for token in vocabulary.encode(row["prompt"] + text[:place]):
        model.read(int(token))
    log_probs = model.log_probs()
    temperature = row["temperature"]
    sums = log_probs + temperature * gumbel_noise(
        tf.constant([row["seed"]], tf.int64),
        tf.constant([place], tf.int64),
        1,
        len(log_probs),
    )[0, 0].numpy().astype(np.float64)
    if "top_k" in row:
        kept = kept_characters(
            tf.constant(log_probs[None], tf.float32),
            tf.constant([temperature], tf.float32),
            tf.constant([row["top_k"]]),
            tf.constant([row["top_p"]], tf.float32),
        )[0].numpy()
        sums = np.where(kept, sums, -np.inf)
    one, other = (
        sums[int(vocabulary.encode(character)[0])]
        for character in (text[place], other[place])
    )
    return abs(one - other)


if __name__ == "__main__":
    absltest.main()

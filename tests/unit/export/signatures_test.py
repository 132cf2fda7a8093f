"""The served contract's own consistency."""

import dataclasses

import numpy as np
from absl.testing import absltest

from kerasrnn.command_line import sampling_flags
from kerasrnn.contract import signatures
from kerasrnn.sampling import generate

# DESIGN's tables, so that a change here is made with open eyes: other
# people's clients hold these names.
INPUTS = {
    "generate": {
        "prompt": ("string", None),
        "state_bytes": ("string", ""),
        "length": ("int32", 200),
        "temperature": ("float32", 1.0),
        "top_k": ("int32", 0),
        "top_p": ("float32", 1.0),
        "seed": ("int64", 0),
        "stop": ("string", ""),
    },
    "score": {"text": ("string", None), "state_bytes": ("string", "")},
    "inspect": {"text": ("string", None), "state_bytes": ("string", "")},
    "serving_default": {"prompt": ("string", None)},
}
OUTPUTS = {
    "generate": {
        "text": ("string", 1),
        "state_bytes": ("string", 1),
        "log_prob": ("float32", 1),
        "length": ("int32", 1),
        "unknown": ("int32", 1),
        "finish": ("string", 1),
        "error": ("string", 1),
    },
    "score": {
        "log_prob": ("float32", 1),
        "length": ("int32", 1),
        "bits_per_character": ("float32", 1),
        "character_log_probs": ("float32", 2),
        "state_bytes": ("string", 1),
        "unknown": ("int32", 1),
        "error": ("string", 1),
    },
    "inspect": {
        "characters": ("string", 2),
        "activations": ("float32", 3),
        "top_characters": ("string", 3),
        "top_log_probs": ("float32", 3),
        "length": ("int32", 1),
        "state_bytes": ("string", 1),
        "error": ("string", 1),
    },
    "serving_default": {"text": ("string", 1)},
}


class SignaturesTest(absltest.TestCase):
    def test_names_types_and_defaults(self):
        inputs = {
            name: {e.name: (e.dtype, e.default) for e in signature.inputs}
            for name, signature in signatures.SIGNATURES.items()
        }
        outputs = {
            name: {e.name: (e.dtype, e.rank) for e in signature.outputs}
            for name, signature in signatures.SIGNATURES.items()
        }
        self.assertEqual(inputs, INPUTS)
        self.assertEqual(outputs, OUTPUTS)

    def test_only_the_first_input_has_no_default(self):
        for signature in signatures.SIGNATURES.values():
            first, *others = signature.inputs
            self.assertIsNone(first.default)
            for entry in others:
                self.assertIsNotNone(entry.default, entry.name)

    def test_rows_are_the_first_dimension_of_all(self):
        for signature in signatures.SIGNATURES.values():
            for entry in signature.outputs:
                self.assertEqual(entry.shape[0], "N")

    def test_defaults_are_of_their_types(self):
        for signature in signatures.SIGNATURES.values():
            for entry in signature.inputs:
                self.assertIn(entry.dtype, signatures.DTYPES)
                if entry.dtype != "string" and entry.default is not None:
                    value = np.asarray(entry.default).astype(entry.dtype)
                    self.assertEqual(value, entry.default)

    def test_every_entry_is_explained(self):
        for signature in signatures.SIGNATURES.values():
            for entry in (signature, *signature.inputs, *signature.outputs):
                self.assertTrue(entry.doc.endswith("."), entry.name)

    def test_strings_of_bytes_are_named_so_for_rest(self):
        # REST encodes outputs named *_bytes; all others must be UTF-8.
        names = {
            entry.name
            for signature in signatures.SIGNATURES.values()
            for entry in (*signature.inputs, *signature.outputs)
            if entry.name.endswith("_bytes")
        }
        self.assertEqual(names, {"state_bytes"})

    def test_lookup(self):
        signature = signatures.GENERATE
        self.assertEqual(signature.input("seed").dtype, "int64")
        self.assertEqual(signature.output("finish").dtype, "string")
        with self.assertRaises(KeyError):
            signature.input("finish")

    def test_nothing_can_be_changed(self):
        with self.assertRaises(dataclasses.FrozenInstanceError):
            signatures.GENERATE.inputs[0].name = "text"
        with self.assertRaises(TypeError):
            signatures.SIGNATURES["generate"] = None

    def test_limits_agree_across_stages(self):
        self.assertEqual(signatures.MAX_STOP, generate.HISTORY + 1)
        self.assertEqual(signatures.MAX_STOP, sampling_flags.MAX_STOP)


if __name__ == "__main__":
    absltest.main()

"""A tiny SavedModel with the contract's signatures and obvious answers.

Version v writes the letters a to z in turn, starting at letter v + seed; the
token is "fake:DRAWS", so that a text in chunks goes on where it was. Each
"?" of a prompt is an unknown character. `score` gives each character but "?"
-0.5 nats. `spin` counts to its input, to have something that takes long.
"""

import os
import string
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from kerasrnn.contract import signatures

LETTERS = string.ascii_lowercase
# That it has beside those of kerasrnn-export, and what allows them.
OPERATIONS = (
    "Add",
    "DenseBincount",
    "PartitionedCall",
    "Size",
    "StaticRegexReplace",
    "StringSplitV2",
    "StringToNumber",
)
FLAG = f"--allow_operations={','.join(OPERATIONS)}"
_TYPES = {
    "string": tf.string,
    "int32": tf.int32,
    "int64": tf.int64,
    "float32": tf.float32,
}


def expected(version: int, seed: int, length: int, draws: int = 0) -> str:
    """Returns what version `version` generates."""
    first = (version + seed + draws) % 26
    return (LETTERS * (length // 26 + 2))[first : first + length]


def publish(directory, version: int) -> Path:
    """Writes the version aside and renames it into `directory`."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f".writing-{version}"
    fake = _Fake(version)
    tf.saved_model.save(fake, str(temporary), fake.functions())
    _write_defaults(temporary / "saved_model.pb")
    final = directory / str(version)
    os.rename(temporary, final)
    return final


def _write_defaults(path):
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    definitions = saved.meta_graphs[0].signature_def
    for name, signature in signatures.SIGNATURES.items():
        if name not in definitions:
            continue
        for entry in signature.inputs:
            if entry.default is not None:
                tensor = tf.make_tensor_proto(
                    [entry.default], _TYPES[entry.dtype]
                )
                definitions[name].defaults[entry.name].CopyFrom(tensor)
    path.write_bytes(saved.SerializeToString())


class _Fake(tf.Module):
    def __init__(self, version):
        super().__init__()
        self._version = tf.Variable(version, dtype=tf.int64)

    def functions(self):
        functions = {
            signature.name: self._function(signature, body)
            for signature, body in (
                (signatures.GENERATE, self._generate),
                (signatures.SCORE, self._score),
                (signatures.INSPECT, self._inspect),
                (signatures.SERVING_DEFAULT, self._default),
            )
        }
        functions["spin"] = tf.function(
            self._spin,
            input_signature=[tf.TensorSpec([None], tf.int64, name="count")],
        )
        return functions

    def _function(self, signature, body):
        specs = [
            tf.TensorSpec([None], _TYPES[entry.dtype], name=entry.name)
            for entry in signature.inputs
        ]
        return tf.function(body, input_signature=specs)

    def _generate(
        self,
        prompt,
        state_bytes,
        length,
        temperature,
        top_k,
        top_p,
        seed,
        stop,
    ):
        draws, error = _read_token(state_bytes)
        error = tf.where(length > 512, "length is above 512.", error)
        error = tf.where(temperature < 0, "temperature is below 0.", error)
        long = tf.strings.length(prompt, "UTF8_CHAR") > 4096
        error = tf.where(long, "prompt is above 4096 characters.", error)
        rows = tf.shape(prompt)[0]
        first = tf.cast((draws + seed + self._version) % 26, tf.int32)
        length = tf.where(error == "", tf.broadcast_to(length, [rows]), 0)
        text = tf.strings.substr(LETTERS * 21, first, length)
        text, stopped = _cut(text, tf.broadcast_to(stop, [rows]))
        length = tf.strings.length(text)
        draws += tf.cast(length, tf.int64)
        finish = tf.where(stopped, signatures.FINISH_STOP, "length")
        zeros = 0 * tf.cast(top_k, tf.float32) * top_p
        return {
            "text": text,
            "state_bytes": tf.where(
                error == "", _write_token(draws), state_bytes
            ),
            "log_prob": -1.0 * tf.cast(length, tf.float32) + zeros,
            "length": length,
            "unknown": _count_unknown(prompt),
            "finish": tf.where(error == "", finish, "error"),
            "error": error,
        }

    def _score(self, text, state_bytes):
        draws, error = _read_token(state_bytes)
        characters = tf.strings.unicode_split(text, "UTF-8").to_tensor("")
        known = (characters != "") & (characters != "?")
        log_probs = tf.where(known, -0.5, 0.0)
        length = tf.reduce_sum(tf.cast(known, tf.int32), axis=1)
        draws += tf.cast(length, tf.int64)
        return {
            "log_prob": tf.reduce_sum(log_probs, axis=1),
            "length": length,
            "bits_per_character": tf.where(
                length > 0, 0.5 / 0.6931471805599453, 0.0
            ),
            "character_log_probs": log_probs,
            "state_bytes": _write_token(draws),
            "unknown": _count_unknown(text),
            "error": error,
        }

    def _inspect(self, text, state_bytes):
        draws, error = _read_token(state_bytes)
        characters = tf.strings.unicode_split(text, "UTF-8").to_tensor("")
        length = tf.reduce_sum(tf.cast(characters != "", tf.int32), axis=1)
        ones = tf.cast(characters != "", tf.float32)
        draws += tf.cast(length, tf.int64)
        return {
            "characters": characters,
            "activations": tf.stack([ones, -ones, 0 * ones], axis=2),
            "top_characters": tf.stack([characters] * 5, axis=2),
            "top_log_probs": tf.stack([-ones * k for k in range(5)], axis=2),
            "length": length,
            "state_bytes": _write_token(draws),
            "error": error,
        }

    def _default(self, prompt):
        first = tf.cast(self._version % 26, tf.int32)
        text = tf.strings.substr(LETTERS * 21, first, 200)
        return {"text": tf.fill(tf.shape(prompt), text)}

    def _spin(self, count):
        longest = tf.reduce_max(count)
        counted = tf.while_loop(
            lambda index: index < longest,
            lambda index: [index + 1],
            [tf.constant(0, tf.int64)],
        )[0]
        return {"counted": tf.fill(tf.shape(count), counted)}


def _read_token(state_bytes):
    valid = tf.strings.regex_full_match(state_bytes, "fake:[0-9]{1,9}")
    digits = tf.where(
        valid, tf.strings.regex_replace(state_bytes, "fake:", ""), "0"
    )
    error = tf.where(valid | (state_bytes == ""), "", "state_bytes is damaged.")
    return tf.strings.to_number(digits, tf.int64), error


def _write_token(draws):
    return tf.strings.join(["fake:", tf.strings.as_string(draws)])


def _count_unknown(text):
    return tf.strings.length(tf.strings.regex_replace(text, "[^?]", ""))


def _cut(text, stop):
    def row(entry):
        # An empty text would have no pieces.
        pieces = tf.strings.split(entry[0] + ".", entry[1])
        stopped = (entry[1] != "") & (tf.size(pieces) > 1)
        cut = pieces[0] + entry[1]
        return tf.where(stopped, cut, entry[0]), stopped

    # An empty separator would be white space, of which there is none.
    return tf.map_fn(
        row, (text, stop), fn_output_signature=(tf.string, tf.bool)
    )

"""The module whose functions are the SavedModel's signatures.

It holds the weights as TensorFlow variables of its own: a Keras model inside
a `tf.Module` gives a SavedModel that Python loads and the server does not.

The numbers a row gives depend on that row and on the number of rows alone
(the contract: `kerasrnn.contract.signatures`): a value that cannot be
used is replaced by a harmless one before it is used, and its row says why.

Glossary of shapes: N rows, P characters of the longest prompt, L of the
longest text, H `kerasrnn.sampling.generate.HISTORY`, V vocabulary size, U
units.
"""

import dataclasses
import hashlib
import math
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kerasrnn.config import CELL_SIZES
from kerasrnn.config import ModelConfig
from kerasrnn.contract import signatures
from kerasrnn.errors import UserError
from kerasrnn.model.step import call_by_rows
from kerasrnn.model.step import step_model
from kerasrnn.model.weights import state_sizes
from kerasrnn.sampling import generate
from kerasrnn.text.vocabulary import Vocabulary
from kerasrnn_export.graph import inspection
from kerasrnn_export.graph import scoring
from kerasrnn_export.graph.options import SamplerOptions
from kerasrnn_export.graph.parameters import as_rows
from kerasrnn_export.graph.parameters import check_parameters
from kerasrnn_export.graph.parameters import right_aligned
from kerasrnn_export.graph.row_errors import no_errors
from kerasrnn_export.graph.row_errors import refuse
from kerasrnn_export.graph.state_token import FINGERPRINT_LENGTH
from kerasrnn_export.graph.state_token import Carried
from kerasrnn_export.graph.state_token import TokenCodec
from kerasrnn_export.graph.state_token import state_bounds
from kerasrnn_export.graph.text_ops import make_codec

# With this and `state_bounds` logits are finite. One that is not would raise,
# and fail the other rows.
_LARGEST_WEIGHT = 1e6


class Sampler(tf.Module):
    """A trained model as functions of text.

    Args:
        config: Of the model; whatever its dtype policy, float32 is used.
        weights: Flat list of arrays, in the order of `CharRNN.weights`.
        vocabulary: The model's vocabulary.
        options: Limits and defaults.

    Attributes:
        options: Those.
        num_layers: Of the model.
        fingerprint: Hexadecimal digits that name the model.

    Raises:
        UserError: The weights hold numbers that no training ends with.
    """

    def __init__(
        self,
        config: ModelConfig,
        weights: list[np.ndarray],
        vocabulary: Vocabulary,
        options: SamplerOptions | None = None,
    ):
        super().__init__(name="sampler")
        weights = [np.asarray(weight, np.float32) for weight in weights]
        # Every comparison with NaN is false.
        if not all((np.abs(w) < _LARGEST_WEIGHT).all() for w in weights):
            raise UserError(
                "The model's weights hold numbers that are not finite, or "
                f"above {_LARGEST_WEIGHT:g}: its training diverged. Export "
                "an earlier checkpoint."
            )
        self.options = options or SamplerOptions()
        self.num_layers = config.num_layers
        self.fingerprint = fingerprint(config, weights, vocabulary)
        self._config = dataclasses.replace(config, dtype_policy="float32")
        self._variables = [
            tf.Variable(weight, trainable=False, name=f"weight_{index}")
            for index, weight in enumerate(weights)
        ]
        self._text = make_codec(vocabulary.kind, vocabulary.characters)
        self._token = TokenCodec(
            self.fingerprint,
            self._start_states(weights, vocabulary.start_id),
            state_bounds(config),
            len(vocabulary),
        )

    def generate(
        self,
        prompt: tf.Tensor,
        state_bytes: tf.Tensor,
        length: tf.Tensor,
        temperature: tf.Tensor,
        top_k: tf.Tensor,
        top_p: tf.Tensor,
        seed: tf.Tensor,
        stop: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Reads prompts and generates text: `signatures.GENERATE`."""
        received = as_rows(
            prompt,
            state_bytes=state_bytes,
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            stop=stop,
        )
        errors, prompt, carried = self._read_request(
            "prompt", prompt, received["state_bytes"]
        )
        stop = self._text.encode(received["stop"], signatures.MAX_STOP)
        errors = check_parameters(
            errors, received, stop.length, self.options.max_length
        )
        good = errors == ""
        prompt_length = tf.where(good, prompt.length, 0)
        stop_length = tf.where(good, stop.length, 0)
        replacement, carried = self._after_prompt(carried, prompt_length)
        options = {
            "length": tf.where(good, received["length"], 0),
            "temperature": tf.where(good, received["temperature"], 1.0),
            "top_k": tf.where(good, received["top_k"], 0),
            "top_p": tf.where(good, received["top_p"], 1.0),
            "seed": received["seed"],
            "draws": carried.draws,
            "history": carried.history,
            "stop": right_aligned(stop.ids, stop_length, signatures.MAX_STOP),
            "stop_length": stop_length,
        }

        def read_and_generate(few_rows):
            model = step_model(self._config, self._variables, few_rows)
            states = generate.read_prompt(
                model, carried.states, prompt.ids, prompt_length
            )
            return generate.generate(model, states, **options)

        generated = call_by_rows(
            self._config, tf.shape(good)[0], read_and_generate
        )
        text, unfinished = self._text.decode(
            generated.ids, carried.history, carried.unfinished
        )
        finish = tf.where(
            generated.stopped, signatures.FINISH_STOP, signatures.FINISH_LENGTH
        )
        token = self._token.encode(
            Carried(
                generated.draws,
                generated.history,
                unfinished,
                generated.states,
            )
        )
        return {
            "text": tf.where(good, tf.strings.join([replacement, text]), ""),
            "state_bytes": tf.where(good, token, received["state_bytes"]),
            "log_prob": generated.log_prob,
            "length": generated.length,
            "unknown": tf.where(good, prompt.unknown, 0),
            "finish": tf.where(good, finish, signatures.FINISH_ERROR),
            "error": errors,
        }

    def score(
        self, text: tf.Tensor, state_bytes: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Gives texts their probabilities: `signatures.SCORE`."""
        received = as_rows(text, state_bytes=state_bytes)["state_bytes"]
        errors, text, carried = self._read_request("text", text, received)
        good = errors == ""
        length = tf.where(good, text.length, 0)
        _, carried = self._after_prompt(carried, length)
        # As wide as the longest good row, whatever was refused.
        ids = text.ids[:, : tf.maximum(tf.reduce_max(length), 0)]
        scored = scoring.score(
            self._config, self._variables, carried.states, ids, length
        )
        count = tf.where(good, length - text.unknown, 0)
        nats = tf.abs(scored.total) / tf.cast(tf.maximum(count, 1), tf.float64)
        token = self._token.encode(carried._replace(states=scored.states))
        return {
            "log_prob": tf.cast(scored.total, tf.float32),
            "length": count,
            "bits_per_character": tf.cast(nats / math.log(2), tf.float32),
            "character_log_probs": scored.log_probs,
            "state_bytes": tf.where(good, token, received),
            "unknown": tf.where(good, text.unknown, 0),
            "error": errors,
        }

    def inspect(
        self, text: tf.Tensor, state_bytes: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Shows what the network does with texts: `signatures.INSPECT`."""
        received = as_rows(text, state_bytes=state_bytes)["state_bytes"]
        errors, encoded, carried = self._read_request("text", text, received)
        good = errors == ""
        length = tf.where(good, encoded.length, 0)
        _, carried = self._after_prompt(carried, length)
        # As wide as the longest good row, whatever was refused.
        longest = tf.maximum(tf.reduce_max(length), 0)
        inspected = inspection.inspect(
            step_model(self._config, self._variables),
            # h is the first state of a layer.
            slice(None, None, CELL_SIZES[self._config.cell].states),
            carried.states,
            encoded.ids[:, :longest],
            length,
            signatures.TOP_CHARACTERS,
        )
        token = self._token.encode(carried._replace(states=inspected.states))
        return {
            "characters": self._text.split(tf.where(good, text, ""), longest),
            "activations": inspected.activations,
            "top_characters": tf.gather(
                tf.constant(self._text.labels), inspected.top_ids
            ),
            "top_log_probs": inspected.top_log_probs,
            "length": length,
            "state_bytes": tf.where(good, token, received),
            "error": errors,
        }

    def serving_default(
        self,
        prompt: tf.Tensor,
        generate: Callable[..., dict[str, tf.Tensor]] | None = None,
    ) -> dict[str, tf.Tensor]:
        """Generates as the export says: `signatures.SERVING_DEFAULT`.

        `generate` may be that method as a graph, which both then share.
        """
        rows = tf.shape(prompt)[0]
        parameters = {
            entry.name: tf.fill([rows], tf.constant(entry.default, entry.dtype))
            for entry in signatures.GENERATE.inputs[1:]
        }
        parameters |= {
            "length": tf.fill([rows], self.options.default_length),
            "temperature": tf.fill([rows], self.options.default_temperature),
            "seed": tf.fill([rows], np.int64(self.options.default_seed)),
        }
        generated = (generate or self.generate)(prompt, **parameters)
        return {"text": generated["text"]}

    def _start_states(self, weights, start_id):
        """Returns the states [U] after the start character alone."""
        zeros = [tf.zeros([1, size]) for size in state_sizes(self._config)]
        model = step_model(self._config, weights, few_rows=True)
        states = model.read(tf.constant([start_id]), zeros)
        return [state[0].numpy() for state in states]

    def _read_request(self, name, text, state_bytes):
        """Returns `(errors [N], Encoded text, Carried)`."""
        errors = no_errors(tf.shape(text)[0])
        limit = self.options.max_prompt
        encoded = self._text.encode(text, limit)
        errors = refuse(
            errors,
            encoded.length > limit,
            f"{name} has more than {limit} characters: send it in pieces, "
            "each with the state_bytes that the one before returned.",
        )
        carried, errors = self._token.decode(state_bytes, errors)
        return errors, encoded, carried

    def _after_prompt(self, carried: Carried, prompt_length):
        """Ends what was being generated where a prompt was read.

        Returns:
            `(text [N] of an unfinished sequence that stays so, Carried)`.
        """
        kept = prompt_length == 0
        replacement = self._text.replacement(
            carried.history, carried.unfinished
        )
        return tf.where(kept, "", replacement), carried._replace(
            history=tf.where(kept[:, None], carried.history, 0),
            unfinished=tf.where(kept, carried.unfinished, 0),
        )


def fingerprint(
    config: ModelConfig, weights: Sequence[np.ndarray], vocabulary: Vocabulary
) -> str:
    """Returns hexadecimal digits that name a model.

    Args:
        config: Of the model; what only training uses does not count.
        weights: Flat list of float32 arrays.
        vocabulary: The model's vocabulary.
    """
    digest = hashlib.sha256()
    arithmetic = (config.cell, config.units, config.num_layers)
    digest.update(repr((arithmetic, config.embedding_size)).encode())
    if config.separator_id:
        digest.update(repr(config.separator_id).encode())
    digest.update(vocabulary.to_json().encode())
    for weight in weights:
        digest.update(repr(weight.shape).encode())
        digest.update(np.ascontiguousarray(weight, "<f4").tobytes())
    return digest.hexdigest()[:FINGERPRINT_LENGTH]

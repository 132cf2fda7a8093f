"""Text from a model in this process, chunk by chunk.

The start state is the zero state after the start character has been read, as
in what is exported, so the same seed gives the same text here and there.

Shapes: N rows, L characters.
"""

import codecs
import dataclasses
import time
from collections.abc import Callable
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from kerasrnn.config import ModelConfig
from kerasrnn.errors import UserError
from kerasrnn.model.step import step_model
from kerasrnn.model.weights import state_sizes
from kerasrnn.model.weights import weight_shapes
from kerasrnn.sampling import generate
from kerasrnn.text.vocabulary import Vocabulary

# Characters of the first chunk. While chunks come quickly they get longer, as
# long ones cost less, but the text must be seen growing.
_CHUNK = 64
_LONGEST_CHUNK = 512
_QUICK_SECONDS = 0.1

# Characters of a prompt that are read in one call.
_PIECE = 4096


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A piece of generated text.

    Attributes:
        text: The text; an unfinished UTF-8 sequence comes with the next one,
            or not at all, as in what is served.
        length: Characters generated (bytes, if the vocabulary is of bytes).
        log_prob: Sum of log p(character) at temperature 1, nats.
        finish: "length" or "stop" in the last chunk, else "".
    """

    text: str
    length: int
    log_prob: float
    finish: str


class TextGenerator:
    """Generates text with weights that may change from call to call.

    Args:
        config: The model's configuration.
        vocabulary: Its vocabulary.
    """

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary):
        self._config = config
        self._vocabulary = vocabulary
        # One trace for any weights of the model, prompt and length.
        shapes = weight_shapes(config).values()
        weights = [tf.TensorSpec(shape) for shape in shapes]
        states = [tf.TensorSpec([None, n]) for n in state_sizes(config)]
        self._read = tf.function(
            self._read_ids,
            input_signature=[weights, states, _rows(tf.int32, None)],
            autograph=False,
        )
        self._generate = tf.function(
            self._generate_ids,
            input_signature=[
                weights,
                states,
                _rows(tf.int32),  # length
                _rows(tf.float32),  # temperature
                _rows(tf.int32),  # top_k
                _rows(tf.float32),  # top_p
                _rows(tf.int64),  # seed
                _rows(tf.int64),  # draws
                _rows(tf.int32, generate.HISTORY),
                _rows(tf.int32, generate.HISTORY + 1),  # stop
                _rows(tf.int32),  # stop_length
            ],
            autograph=False,
        )

    def stream(
        self,
        weights,
        *,
        prompt: str | bytes = "",
        length: int,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: str = "",
        between_reads: Callable[[float], None] = lambda share: None,
    ) -> Iterator[Chunk]:
        """Yields the text that follows a prompt.

        Args:
            weights: List of tensors, in the order of `CharRNN.weights`.
            prompt: Text read first, after the start character.
            length: Characters to generate.
            temperature: Divides the logits; 0 takes the likeliest.
            top_k: Draw among the k likeliest; 0 is off.
            top_p: Draw among the likeliest that add up to this; 1 is off.
            seed: Same seed, same text.
            stop: Ends the text; empty is off.
            between_reads: Called with the share of the prompt that is read,
                again and again while a long one is.

        Raises:
            UserError: `stop` is too long.
        """
        stop, stop_length = self._stop_ids(stop)
        states = self._start_states(weights, prompt, between_reads)
        draws = tf.zeros([1], tf.int64)
        history = tf.zeros([1, generate.HISTORY], tf.int32)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        finish, chunk = "", _CHUNK
        while not finish:
            count = min(length, chunk)
            start = time.monotonic()
            result = self._generate(
                weights,
                states,
                tf.constant([count]),
                tf.constant([temperature], tf.float32),
                tf.constant([top_k]),
                tf.constant([top_p], tf.float32),
                tf.constant([seed], tf.int64),
                draws,
                history,
                tf.constant([stop]),
                tf.constant([stop_length]),
            )
            states, draws, history = result.states, result.draws, result.history
            generated = int(result.length[0])
            length -= generated
            if result.stopped[0]:
                finish = "stop"
            elif length <= 0:
                finish = "length"
            ids = result.ids.numpy()[0, :generated]
            if time.monotonic() - start < _QUICK_SECONDS:
                chunk = min(2 * chunk, _LONGEST_CHUNK)
            yield Chunk(
                decoder.decode(self._vocabulary.decode_bytes(ids)),
                generated,
                float(result.log_prob[0]),
                finish,
            )

    def unknown(self, prompt: str | bytes) -> int:
        """Returns how many characters of a prompt the model does not know."""
        return int((self._vocabulary.encode(prompt) == 0).sum())

    def _start_states(self, weights, prompt, between_reads):
        ids = np.append(
            self._vocabulary.start_id, self._vocabulary.encode(prompt)
        ).astype(np.int32)
        states = [tf.zeros([1, size]) for size in state_sizes(self._config)]
        for start in range(0, len(ids), _PIECE):
            piece = tf.constant(ids[None, start : start + _PIECE])
            states = self._read(weights, states, piece)
            between_reads(min(start + _PIECE, len(ids)) / len(ids))
        return states

    def _stop_ids(self, stop):
        ids = self._vocabulary.encode(stop)
        width = generate.HISTORY + 1
        if len(ids) > width:
            raise UserError(
                f"stop has {len(ids)} characters; it may have at most {width}."
            )
        return [0] * (width - len(ids)) + ids.tolist(), len(ids)

    def _read_ids(self, weights, states, ids):
        model = step_model(self._config, weights, few_rows=True)
        length = tf.shape(ids)[1][None]
        return generate.read_prompt(model, states, ids, length)

    def _generate_ids(
        self,
        weights,
        states,
        length,
        temperature,
        top_k,
        top_p,
        seed,
        draws,
        history,
        stop,
        stop_length,
    ):
        return generate.generate(
            step_model(self._config, weights, few_rows=True),
            states,
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            draws=draws,
            history=history,
            stop=stop,
            stop_length=stop_length,
        )


def _rows(dtype, *shape):
    return tf.TensorSpec([None, *shape], dtype)

"""Text from a model in this process, chunk by chunk.

The start state is the zero state after the start character has been read, as
in an export, so the same seed gives the same text in both.

Shapes: N rows, L characters.
"""

import codecs
import dataclasses
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kerasrnn.config import ModelConfig
from kerasrnn.errors import UserError
from kerasrnn.model.arguments import SamplingNumbers
from kerasrnn.model.arguments import check_weights
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


@dataclasses.dataclass(frozen=True, eq=False)
class TextState:
    """The state of a text, from which `TextGenerator.stream` continues it.

    Attributes:
        states: The network's states, a list of float32 [1, U].
        draws: int64 [1], draws made so far.
        history: int32 [1, H], the last ids generated.
        unfinished: The beginning of a UTF-8 sequence that was generated.
    """

    states: list[tf.Tensor]
    draws: tf.Tensor
    history: tf.Tensor
    unfinished: bytes


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A piece of generated text.

    Attributes:
        text: The text; an unfinished UTF-8 sequence comes with the next chunk,
            or not at all, as from a server.
        length: Characters generated (bytes, if the vocabulary is of bytes).
        log_prob: Sum of log p(character) at temperature 1, nats.
        finish: "length" or "stop" in the last chunk, else "".
        state: What to continue from after this chunk.
    """

    text: str
    length: int
    log_prob: float
    finish: str
    state: TextState = dataclasses.field(repr=False, compare=False)


class TextGenerator:
    """Generates text in this process.

    The weights are an argument of each call, so that text can be sampled
    from a model while it is trained.

    Example, with a model that kerasrnn-train has trained in `my_model`:

    ```python
    import kerasrnn

    model, vocabulary, config, info = kerasrnn.load_model("my_model")
    generator = kerasrnn.TextGenerator(config.model, vocabulary)
    weights = model.weights

    # Text as it is generated; the same seed gives the same text.
    for chunk in generator.stream(weights, prompt="a", length=100, seed=1):
        print(chunk.text, end="", flush=True)

    # The text continues as if it had never stopped, at another temperature.
    more = generator.stream(
        weights, length=100, seed=1, temperature=0.5, state=chunk.state
    )
    print("".join(chunk.text for chunk in more))
    ```

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
        weights: Sequence[Any],
        *,
        prompt: str | bytes = "",
        length: int,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: str | bytes = "",
        state: TextState | None = None,
        between_reads: Callable[[float], None] = lambda share: None,
    ) -> Iterator[Chunk]:
        """Yields the text that follows a prompt.

        Args:
            weights: Tensors or variables in the order of `CharRNN.weights`.
            prompt: Text read first.
            length: Characters to generate.
            temperature: Divides the logits; 0 takes the most likely character.
            top_k: Draw from the k most likely characters; 0 turns this off.
            top_p: Draw from the most likely characters whose probabilities add
                up to this; 1 turns this off.
            seed: The same seed gives the same text.
            stop: Ends the text once it ends with this; empty never does.
            state: The `state` of an earlier chunk, to continue its text; None
                starts a text, after the start character. With the same seed,
                the text is the one that a longer call would have generated.
            between_reads: Called repeatedly while a long prompt is read, with
                the share of it that has been read.

        Raises:
            UserError: A number is out of range, such as a temperature below
                0, `stop` is too long, or there are too few weights.
        """
        check_weights(self._config, weights)
        SamplingNumbers(
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
        )
        stop_ids, stop_length = self._stop_ids(stop)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text, state = self._after_prompt(
            weights, prompt, state, decoder, between_reads
        )
        states, draws, history = state.states, state.draws, state.history
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
                tf.constant([stop_ids]),
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
            text += decoder.decode(self._vocabulary.decode_bytes(ids))
            unfinished, _ = decoder.getstate()
            yield Chunk(
                text,
                generated,
                float(result.log_prob[0]),
                finish,
                TextState(states, draws, history, unfinished),
            )
            text = ""

    def unknown(self, prompt: str | bytes) -> int:
        """Returns how many characters of a prompt the model does not know."""
        return int((self._vocabulary.encode(prompt) == 0).sum())

    def _after_prompt(
        self,
        weights: Sequence[Any],
        prompt: str | bytes,
        state: TextState | None,
        decoder: codecs.IncrementalDecoder,
        between_reads: Callable[[float], None],
    ) -> tuple[str, TextState]:
        """Reads a prompt.

        Returns:
            `(text, state)`: what becomes of an unfinished UTF-8 sequence that
            the prompt cuts off, and where the text has come to.
        """
        ids = self._vocabulary.encode(prompt)
        text = ""
        if state is None:
            states = [tf.zeros([1, size]) for size in state_sizes(self._config)]
            draws = tf.zeros([1], tf.int64)
            ids = np.append(self._vocabulary.start_id, ids).astype(np.int32)
        else:
            states, draws = state.states, state.draws
            decoder.setstate((state.unfinished, 0))
            if not len(ids):
                return text, state
            text = decoder.decode(b"", final=True)
        for start in range(0, len(ids), _PIECE):
            piece = tf.constant(ids[None, start : start + _PIECE])
            states = self._read(weights, states, piece)
            between_reads(min(start + _PIECE, len(ids)) / len(ids))
        # A stop string begins after the prompt.
        history = tf.zeros([1, generate.HISTORY], tf.int32)
        return text, TextState(states, draws, history, b"")

    def _stop_ids(self, stop: str | bytes) -> tuple[list[int], int]:
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

"""How far the texts of a request have come, between the calls for them."""

import dataclasses
import secrets
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import TypedDict
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from kerasrnn.contract import signatures
from kerasrnn_serving.client import _arguments
from kerasrnn_serving.client._arguments import Text
from kerasrnn_serving.client._call_sizes import piece_end
from kerasrnn_serving.client._call_sizes import split_text
from kerasrnn_serving.client.results import Generation
from kerasrnn_serving.client.results import Inspection
from kerasrnn_serving.client.results import Score

# A row of each output of a call, by name.
_Values = Mapping[str, Any]


class Sampling(TypedDict):
    """The arguments of `Client.generate` but for prompts and version."""

    length: int | Sequence[int]
    temperature: float | Sequence[float]
    top_k: int | Sequence[int]
    top_p: float | Sequence[float]
    seed: int | Sequence[int] | None
    stop: Text | Sequence[Text]
    state_bytes: bytes | Sequence[bytes]


@dataclasses.dataclass
class GenerationProgress:
    """How far the text of one prompt is.

    The first fields are what was asked for; `begin` sets the others.
    """

    index: int
    prompt: bytes
    wanted: int
    temperature: float
    top_k: int
    top_p: float
    seed: int
    stop: bytes
    first_state: bytes

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forgets everything received."""
        self._pieces = split_text(self.prompt, signatures.MAX_PROMPT)
        self._remaining = self.wanted
        self.state_bytes = self.first_state
        self._num_pieces = len(self._pieces)
        self._restarted = False
        self.finish = ""
        self.version = 0
        self._written: list[str] = []
        self._pieces_read_before = 0
        self._clear()

    def _clear(self) -> None:
        self._texts: list[str] = []
        self._length = self._unknown = 0
        self._log_prob = 0.0

    def begin_from_text(self) -> None:
        """Goes back to the start, with the text so far as the prompt."""
        if not any(self._written):
            self.begin()
            return
        text = self.prompt + "".join(self._written).encode()
        self._pieces = split_text(text, signatures.MAX_PROMPT)
        self._num_pieces = len(self._pieces)
        self._pieces_read_before = len(self._pieces)
        self.state_bytes = b""
        self._restarted = True

    @property
    def can_begin_again(self) -> bool:
        """Whether all that the state stands for is known as text."""
        return not self.first_state

    @property
    def share_read(self) -> float:
        """Share of the prompt that is read."""
        return 1 - len(self._pieces) / max(self._num_pieces, 1)

    @property
    def has_news(self) -> bool:
        """Whether calls have brought text, or the end.

        There is no news until the whole prompt has been read: the end of a
        character that an earlier text broke off waits for what follows.
        """
        if self._pieces:
            return False
        return any(self._texts) or bool(self.finish)

    def next_call(self, limit: int) -> tuple[bytes, int]:
        """Returns the prompt and the length to ask for."""
        prompt = self._pieces[0] if self._pieces else b""
        # All of the prompt is read before anything is generated.
        reads_on = len(self._pieces) > 1
        return prompt, 0 if reads_on else min(self._remaining, limit)

    def update(self, values: _Values, version: int) -> None:
        """Takes the row's outputs of a call, by name."""
        self._pieces = self._pieces[1:]
        text = values["text"].decode("utf-8", "replace")
        self._texts.append(text)
        self._written.append(text)
        self._length += int(values["length"])
        self._remaining -= int(values["length"])
        self._log_prob += float(values["log_prob"])
        if self._pieces_read_before:
            self._pieces_read_before -= 1
        else:
            self._unknown += int(values["unknown"])
        self.state_bytes = values["state_bytes"]
        self.version = version
        if self._pieces:
            return
        if values["finish"] == signatures.FINISH_STOP.encode():
            self.finish = signatures.FINISH_STOP
        elif self._remaining <= 0:
            self.finish = signatures.FINISH_LENGTH

    def stuck(self, asked: int, values: _Values) -> bool:
        """Whether a call for `asked` characters brought nothing."""
        return asked > 0 and not self.finish and int(values["length"]) < 1

    def result(self) -> Generation:
        """Returns the text so far."""
        return Generation(
            text="".join(self._texts),
            length=self._length,
            log_prob=self._log_prob,
            unknown=self._unknown,
            finish=self.finish,
            state_bytes=self.state_bytes,
            seed=self.seed,
            version=self.version,
            restarted=self._restarted,
        )

    def take(self) -> Generation:
        """Returns what has come since the last time."""
        chunk = self.result()
        self._clear()
        return chunk


@dataclasses.dataclass
class ReadingProgress:
    """What has been read of one text."""

    index: int
    text: bytes
    first_state: bytes

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forgets all that has been read."""
        self.state_bytes = self.first_state
        self.version = 0
        self._parts: list[_Values] = []
        self._start = self._end = 0  # of the piece asked for

    @property
    def is_read(self) -> bool:
        """Whether nothing is left to read; an empty text is read, too."""
        return bool(self._parts) and self._start == len(self.text)

    @property
    def bytes_read(self) -> int:
        """Bytes of the text that are read."""
        return self._start

    def next_piece(self, size: int) -> bytes:
        """Returns what to read next: `size` bytes at most."""
        self._end = piece_end(self.text, self._start, size)
        return self.text[self._start : self._end]

    @property
    def can_begin_again(self) -> bool:
        """Whether all that the state stands for is known as text."""
        return not self.first_state

    def update(self, values: _Values, version: int) -> None:
        """Takes the row's outputs of a call, by name."""
        self._start = self._end
        self._parts.append(values)
        self.state_bytes = values["state_bytes"]
        self.version = version

    def score(self) -> Score:
        """Returns the whole text's score."""
        log_probs = [
            part["character_log_probs"][: part["length"] + part["unknown"]]
            for part in self._parts
        ]
        return Score(
            log_prob=sum(float(part["log_prob"]) for part in self._parts),
            length=sum(int(part["length"]) for part in self._parts),
            unknown=sum(int(part["unknown"]) for part in self._parts),
            character_log_probs=np.concatenate(log_probs),
            state_bytes=self.state_bytes,
            version=self.version,
        )

    def inspection(self, num_layers: int | None) -> Inspection:
        """Returns the whole text's inspection."""
        return Inspection(
            characters=tuple(c.decode() for c in self._joined("characters")),
            activations=self._joined("activations"),
            top_characters=tuple(
                tuple(c.decode() for c in candidates)
                for candidates in self._joined("top_characters")
            ),
            top_log_probs=self._joined("top_log_probs"),
            num_layers=num_layers,
            state_bytes=self.state_bytes,
            version=self.version,
        )

    def _joined(self, name: str) -> NDArray[Any]:
        # Past a row's own length is room for longer rows.
        return np.concatenate(
            [part[name][: part["length"]] for part in self._parts]
        )


def begin_generating(
    prompts: Text | Sequence[Text], **sampling: Unpack[Sampling]
) -> list[GenerationProgress]:
    """Returns what is to be generated, a row a prompt.

    Raises:
        UserError: A parameter has another type or number of values.
    """
    prompts = _arguments.texts(prompts, "prompts")
    count = len(prompts)
    seed = sampling["seed"]
    if seed is None:
        seed = [secrets.randbits(31) for _ in prompts]

    def integers(
        value: int | Sequence[int], name: str, minimum: int, maximum: int
    ) -> list[int]:
        return _arguments.each_integer(value, count, name, minimum, maximum)

    columns = (
        range(count),
        prompts,
        integers(sampling["length"], "length", 0, 2**63 - 1),
        _arguments.each_float(sampling["temperature"], count, "temperature"),
        integers(sampling["top_k"], "top_k", -(2**31), 2**31 - 1),
        _arguments.each_float(sampling["top_p"], count, "top_p"),
        integers(seed, "seed", -(2**63), 2**63 - 1),
        _arguments.each_text(sampling["stop"], count, "stop"),
        _arguments.each_text(sampling["state_bytes"], count, "state_bytes"),
    )
    return [GenerationProgress(*row) for row in zip(*columns, strict=True)]


def begin_reading(
    texts: Text | Sequence[Text], state_bytes: bytes | Sequence[bytes]
) -> list[ReadingProgress]:
    """Returns what is to be read, a row a text.

    Raises:
        UserError: A parameter has another type or number of values.
    """
    texts = _arguments.texts(texts, "texts")
    states = _arguments.each_text(state_bytes, len(texts), "state_bytes")
    return [
        ReadingProgress(index, text, state)
        for index, (text, state) in enumerate(zip(texts, states, strict=True))
    ]

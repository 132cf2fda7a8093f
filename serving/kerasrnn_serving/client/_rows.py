"""The rows of a long request, between the calls that answer it."""

import dataclasses
import secrets

import numpy as np

from kerasrnn.contract import signatures
from kerasrnn_serving.client import _arguments
from kerasrnn_serving.client._pieces import piece_end
from kerasrnn_serving.client._pieces import split_text
from kerasrnn_serving.client.results import Generation
from kerasrnn_serving.client.results import Inspection
from kerasrnn_serving.client.results import Score


@dataclasses.dataclass
class GeneratingRow:
    """What one prompt has come to, between calls.

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

    def __post_init__(self):
        self.begin()

    def begin(self):
        """Forgets all that has come."""
        self.pieces = split_text(self.prompt, signatures.MAX_PROMPT)
        self.remaining = self.wanted
        self.state_bytes = self.first_state
        self.pieces_in_all = len(self.pieces)
        self.restarted = False
        self.finish = ""
        self.version = 0
        self._written = []
        self._pieces_read_before = 0
        self._clear()

    def _clear(self):
        self.texts, self.length = [], 0
        self.log_prob, self.unknown = 0.0, 0

    def begin_from_text(self):
        """Goes back to the start, with the text so far as the prompt."""
        if not any(self._written):
            self.begin()
            return
        text = self.prompt + "".join(self._written).encode()
        self.pieces = split_text(text, signatures.MAX_PROMPT)
        self.pieces_in_all = len(self.pieces)
        self._pieces_read_before = len(self.pieces)
        self.state_bytes = b""
        self.restarted = True

    @property
    def can_begin_again(self):
        """Whether all that the state stands for is known as text."""
        return not self.first_state

    @property
    def share_read(self):
        """Share of the prompt that is read."""
        return 1 - len(self.pieces) / max(self.pieces_in_all, 1)

    def next_call(self, limit):
        """Returns the prompt and the length to ask for."""
        prompt = self.pieces[0] if self.pieces else b""
        # All of the prompt is read before anything is generated.
        reads_on = len(self.pieces) > 1
        return prompt, 0 if reads_on else min(self.remaining, limit)

    def update(self, values, version):
        """Takes the row's outputs of a call, by name."""
        self.pieces = self.pieces[1:]
        text = values["text"].decode("utf-8", "replace")
        self.texts.append(text)
        self._written.append(text)
        self.length += int(values["length"])
        self.remaining -= int(values["length"])
        self.log_prob += float(values["log_prob"])
        if self._pieces_read_before:
            self._pieces_read_before -= 1
        else:
            self.unknown += int(values["unknown"])
        self.state_bytes = values["state_bytes"]
        self.version = version
        if self.pieces:
            return
        if values["finish"] == signatures.FINISH_STOP.encode():
            self.finish = signatures.FINISH_STOP
        elif self.remaining <= 0:
            self.finish = signatures.FINISH_LENGTH

    def stuck(self, asked, values):
        """Whether a call for `asked` characters brought nothing."""
        return asked > 0 and not self.finish and values["length"] < 1

    def result(self):
        """Returns the text so far."""
        return Generation(
            text="".join(self.texts),
            length=self.length,
            log_prob=self.log_prob,
            unknown=self.unknown,
            finish=self.finish,
            state_bytes=self.state_bytes,
            seed=self.seed,
            version=self.version,
            restarted=self.restarted,
        )

    def take(self):
        """Returns what has come since the last time."""
        chunk = self.result()
        self._clear()
        return chunk


@dataclasses.dataclass
class ReadingRow:
    """What has been read of one text, between calls."""

    index: int
    text: bytes
    first_state: bytes

    def __post_init__(self):
        self.begin()

    def begin(self):
        """Forgets all that has been read."""
        self.state_bytes = self.first_state
        self.version = 0
        self._parts = []
        self._start = self._end = 0  # of the piece asked for

    @property
    def is_read(self):
        """Whether nothing is left to read; an empty text is read, too."""
        return bool(self._parts) and self._start == len(self.text)

    @property
    def bytes_read(self):
        """Bytes of the text that are read."""
        return self._start

    def next_piece(self, size=signatures.MAX_PROMPT):
        """Returns what to read next: `size` bytes at most."""
        self._end = piece_end(self.text, self._start, size)
        return self.text[self._start : self._end]

    @property
    def can_begin_again(self):
        """Whether all that the state stands for is known as text."""
        return not self.first_state

    def update(self, values, version):
        """Takes the row's outputs of a call, by name."""
        self._start = self._end
        self._parts.append(values)
        self.state_bytes = values["state_bytes"]
        self.version = version

    def score(self):
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

    def inspection(self, num_layers):
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

    def _joined(self, name):
        # Past a row's own length is room for longer rows.
        return np.concatenate(
            [part[name][: part["length"]] for part in self._parts]
        )


def generating_rows(
    prompts, *, length, temperature, top_k, top_p, seed, stop, state_bytes
) -> list[GeneratingRow]:
    """Returns a row a prompt; see `Client.generate` for the arguments.

    Raises:
        UserError: A parameter has another type or number of values.
    """
    prompts = _arguments.texts(prompts, "prompts")
    count = len(prompts)
    if seed is None:
        seed = [secrets.randbits(31) for _ in prompts]
    integers = _arguments.each_integer
    columns = (
        range(count),
        prompts,
        integers(length, count, "length", 0, 2**63 - 1),
        _arguments.each_float(temperature, count, "temperature"),
        integers(top_k, count, "top_k", -(2**31), 2**31 - 1),
        _arguments.each_float(top_p, count, "top_p"),
        integers(seed, count, "seed", -(2**63), 2**63 - 1),
        _arguments.each_text(stop, count, "stop"),
        _arguments.each_text(state_bytes, count, "state_bytes"),
    )
    return [GeneratingRow(*row) for row in zip(*columns, strict=True)]


def reading_rows(texts, state_bytes) -> list[ReadingRow]:
    """Returns a row a text; see `Client.score` for the arguments.

    Raises:
        UserError: A parameter has another type or number of values.
    """
    texts = _arguments.texts(texts, "texts")
    states = _arguments.each_text(state_bytes, len(texts), "state_bytes")
    return [
        ReadingRow(index, text, state)
        for index, (text, state) in enumerate(zip(texts, states, strict=True))
    ]

"""The rows of a long request, between the calls that answer it."""

import dataclasses
import numbers
import secrets

import numpy as np
from kerasrnn_export import signatures

from kerasrnn.errors import UserError
from kerasrnn_serving.pieces import split_text
from kerasrnn_serving.results import Generation
from kerasrnn_serving.results import Inspection
from kerasrnn_serving.results import Score


@dataclasses.dataclass
class GeneratingRow:
    """What one prompt has come to, between calls."""

    index: int
    pieces: list[bytes]
    remaining: int
    temperature: float
    top_k: int
    top_p: float
    seed: int
    stop: bytes
    state_bytes: bytes
    texts: list[str] = dataclasses.field(default_factory=list)
    length: int = 0
    log_prob: float = 0.0
    unknown: int = 0
    finish: str = ""
    version: int = 0

    def next_call(self, limit):
        """Returns the prompt and the length to ask for."""
        prompt = self.pieces[0] if self.pieces else b""
        # All of the prompt is read before anything is generated.
        reads_on = len(self.pieces) > 1
        return prompt, 0 if reads_on else min(self.remaining, limit)

    def update(self, values, version):
        """Takes the row's outputs of a call, by name."""
        self.pieces = self.pieces[1:]
        self.texts.append(values["text"].decode("utf-8", "replace"))
        self.length += int(values["length"])
        self.remaining -= int(values["length"])
        self.log_prob += float(values["log_prob"])
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
        )

    def take(self):
        """Returns what has come since the last time."""
        chunk = self.result()
        self.texts, self.length = [], 0
        self.log_prob, self.unknown = 0.0, 0
        return chunk


@dataclasses.dataclass
class ReadingRow:
    """What has been read of one text, between calls."""

    index: int
    pieces: list[bytes]
    state_bytes: bytes
    parts: list[dict] = dataclasses.field(default_factory=list)
    version: int = 0

    def update(self, values, version):
        """Takes the row's outputs of a call, by name."""
        self.pieces = self.pieces[1:]
        self.parts.append(values)
        self.state_bytes = values["state_bytes"]
        self.version = version

    def score(self):
        """Returns the whole text's score."""
        log_probs = [
            part["character_log_probs"][: part["length"] + part["unknown"]]
            for part in self.parts
        ]
        return Score(
            log_prob=sum(float(part["log_prob"]) for part in self.parts),
            length=sum(int(part["length"]) for part in self.parts),
            unknown=sum(int(part["unknown"]) for part in self.parts),
            character_log_probs=np.concatenate(log_probs),
            state_bytes=self.state_bytes,
            version=self.version,
        )

    def inspection(self):
        """Returns the whole text's inspection."""
        return Inspection(
            characters=tuple(c.decode() for c in self._joined("characters")),
            activations=self._joined("activations"),
            top_characters=tuple(
                tuple(c.decode() for c in candidates)
                for candidates in self._joined("top_characters")
            ),
            top_log_probs=self._joined("top_log_probs"),
            state_bytes=self.state_bytes,
            version=self.version,
        )

    def _joined(self, name):
        # Past a row's own length is room for longer rows.
        return np.concatenate(
            [part[name][: part["length"]] for part in self.parts]
        )


def generating_rows(
    prompts, *, length, temperature, top_k, top_p, seed, stop, state_bytes
) -> list[GeneratingRow]:
    """Returns a row a prompt; see `Client.generate` for the arguments.

    Raises:
        UserError: A parameter has another type or number of values.
    """
    prompts = _texts(prompts, "prompts")
    count = len(prompts)
    if seed is None:
        seed = [secrets.randbits(31) for _ in prompts]
    lengths = _integers(length, count, "length", 0, 2**63 - 1)
    temperatures = _floats(temperature, count, "temperature")
    top_ks = _integers(top_k, count, "top_k", -(2**31), 2**31 - 1)
    top_ps = _floats(top_p, count, "top_p")
    seeds = _integers(seed, count, "seed", -(2**63), 2**63 - 1)
    stops = _each_text(stop, count, "stop")
    states = _each_text(state_bytes, count, "state_bytes")
    return [
        GeneratingRow(
            index=index,
            pieces=split_text(prompts[index], signatures.MAX_PROMPT),
            remaining=lengths[index],
            temperature=temperatures[index],
            top_k=top_ks[index],
            top_p=top_ps[index],
            seed=seeds[index],
            stop=stops[index],
            state_bytes=states[index],
        )
        for index in range(count)
    ]


def reading_rows(texts, state_bytes) -> list[ReadingRow]:
    """Returns a row a text; see `Client.score` for the arguments.

    Raises:
        UserError: A parameter has another type or number of values.
    """
    texts = _texts(texts, "texts")
    states = _each_text(state_bytes, len(texts), "state_bytes")
    return [
        ReadingRow(index, split_text(text, signatures.MAX_PROMPT), state)
        for index, (text, state) in enumerate(zip(texts, states, strict=True))
    ]


def _texts(values, name):
    values = [values] if isinstance(values, str | bytes) else list(values)
    return _each_text(values, len(values), name)


def _each_text(value, count, name):
    def convert(text):
        if isinstance(text, bytes):
            return text
        # Bytes of the command line that are not UTF-8 come as surrogates.
        return text.encode("utf-8", "surrogateescape")

    try:
        return _each(value, count, name, str | bytes, convert)
    except UnicodeEncodeError as error:
        raise UserError(
            f"{name} holds {error.object[error.start]!r}, which is no "
            "character. Give text, or bytes of UTF-8."
        ) from None


def _floats(value, count, name):
    return _each(value, count, name, numbers.Real, float)


def _integers(value, count, name, minimum, maximum):
    values = _each(value, count, name, numbers.Integral, int)
    for entry in values:
        if not minimum <= entry <= maximum:
            raise UserError(
                f"{name} must be {minimum} to {maximum}, not {entry}."
            )
    return values


def _each(value, count, name, kind, convert):
    """Returns `count` values: one for all, or one for each."""
    if isinstance(value, kind):
        return [convert(value)] * count
    try:
        values = list(value)
    except TypeError:
        values = [value]
    wrong = [entry for entry in values if not isinstance(entry, kind)]
    if wrong:
        raise UserError(
            f"{name} must be {_KIND_NAMES[kind]}, or one for each text; "
            f"received {wrong[0]!r}."
        )
    if len(values) != count:
        raise UserError(
            f"{name} has {len(values)} values for {count} texts; give one "
            "value, or one for each."
        )
    return [convert(entry) for entry in values]


_KIND_NAMES = {
    str | bytes: "text",
    numbers.Real: "a number",
    numbers.Integral: "a whole number",
}

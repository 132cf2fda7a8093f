"""The flags that say what text to generate, the same for all programs.

`kerasrnn-sample` and `kerasrnn-query` define them here, so that a command
tried in process works against a server unchanged. No TensorFlow.
"""

import dataclasses
import json
import math
import os
import secrets
import stat
import sys
from pathlib import Path

from absl import flags

from kerasrnn.errors import UserError
from kerasrnn.escapes import unescaped

MAX_STOP = 32
_INT64 = 2**63


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """What to generate.

    Attributes:
        prompt: UTF-8 text to read first; may be empty.
        length: Characters to generate.
        temperature: Divides the logits; 0 takes the likeliest character.
        top_k: Draw among the k likeliest characters; 0 is off.
        top_p: Draw among the likeliest that add up to this; 1 is off.
        seed: Of the first sample; None draws one.
        stop: Ends a sample once its text ends with it; empty is off.
        num_samples: Samples of the same prompt, with seeds in a row.
        json: Print one JSON object a line, not text.
        echo: Print the prompt before the text.
    """

    prompt: bytes = b""
    length: int = 500
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None
    stop: str = ""
    num_samples: int = 1
    json: bool = False
    echo: bool = True

    def __post_init__(self):
        if self.length < 0:
            raise UserError(f"length must be at least 0, not {self.length}.")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UserError(
                "temperature must be a finite number of at least 0 (0 takes "
                f"the likeliest character), not {self.temperature}."
            )
        if not 0 <= self.top_k < 2**31:
            raise UserError(
                "top_k must be a count of characters, 0 (off) or more, not "
                f"{self.top_k}."
            )
        if not 0 < self.top_p <= 1:
            raise UserError(
                f"top_p must be above 0 and at most 1 (off), not {self.top_p}."
            )
        if len(self.stop) > MAX_STOP:
            raise UserError(
                f"stop may have at most {MAX_STOP} characters, not "
                f"{len(self.stop)}."
            )
        if self.num_samples < 1:
            raise UserError(
                f"num_samples must be at least 1, not {self.num_samples}."
            )
        if self.seed is not None and not -_INT64 <= self.seed < _INT64:
            raise UserError(
                f"seed must fit into 64 bits with sign, not {self.seed}."
            )

    def seeds(self) -> tuple[int, ...]:
        """Returns one seed a sample: `seed`, `seed` + 1, ...

        Where `seed` is None the first is drawn, so call it once and print
        what it returned.
        """
        first = random_seed() if self.seed is None else self.seed
        return tuple(
            (first + index + _INT64) % (2 * _INT64) - _INT64
            for index in range(self.num_samples)
        )


def random_seed() -> int:
    """Returns a random seed that is short enough to type again."""
    return secrets.randbits(31)


def define_sampling_flags(flag_values: flags.FlagValues) -> None:
    """Defines the flags that `sampling_options` reads."""

    def define(function, *arguments):
        function(*arguments, flag_values=flag_values)

    define(
        flags.DEFINE_string,
        "prompt",
        None,
        "Text that the generated text continues.",
    )
    define(
        flags.DEFINE_string,
        "prompt_file",
        None,
        "File that holds the prompt; - is standard input, which is also read "
        "where text is piped into it and no prompt is given.",
    )
    define(flags.DEFINE_integer, "length", 500, "Characters to generate.")
    define(
        flags.DEFINE_float,
        "temperature",
        1.0,
        "Below 1 is more cautious, above 1 wilder; 0 always takes the "
        "likeliest character.",
    )
    define(
        flags.DEFINE_integer,
        "top_k",
        0,
        "Draw only among this many likeliest characters; 0 is off.",
    )
    define(
        flags.DEFINE_float,
        "top_p",
        1.0,
        "Draw only among the likeliest characters whose probabilities add up "
        "to this; 1 is off.",
    )
    define(
        flags.DEFINE_integer,
        "seed",
        None,
        "The same seed gives the same text. Without one a random seed is "
        "drawn and printed to standard error.",
    )
    define(
        flags.DEFINE_string,
        "stop",
        "",
        f"End a sample once its text ends with this (at most {MAX_STOP} "
        "characters); \\n is a newline, \\t a tab, \\\\ a backslash, as in a "
        "string of Python.",
    )
    define(
        flags.DEFINE_integer,
        "num_samples",
        1,
        "Samples to generate, with seeds in a row.",
    )
    define(
        flags.DEFINE_bool,
        "json",
        False,
        "Print one JSON object a line for each sample.",
    )
    define(flags.DEFINE_bool, "echo", True, "Print the prompt before the text.")


def sampling_options(
    flag_values: flags.FlagValues, *, read_pipe: bool = True
) -> SamplingOptions:
    """Returns the options that the flags give; reads the prompt.

    Args:
        flag_values: Where the flags are defined.
        read_pipe: Whether what is piped into the program is the prompt
            where none is given.

    Raises:
        UserError: A value is out of range, two prompts are given, or the
            prompt's file cannot be read.
    """
    options = SamplingOptions(
        length=flag_values.length,
        temperature=flag_values.temperature,
        top_k=flag_values.top_k,
        top_p=flag_values.top_p,
        seed=flag_values.seed,
        stop=unescaped(flag_values.stop),
        num_samples=flag_values.num_samples,
        json=flag_values.json,
        echo=flag_values.echo,
    )
    prompt = _prompt(flag_values.prompt, flag_values.prompt_file, read_pipe)
    return dataclasses.replace(options, prompt=prompt)


def _prompt(
    prompt: str | None, prompt_file: str | None, read_pipe: bool
) -> bytes:
    if prompt is not None and prompt_file is not None:
        raise UserError(
            "Both --prompt and --prompt_file are given; give one of them."
        )
    if prompt is not None:
        return os.fsencode(prompt)
    piped = prompt_file is None and read_pipe and _is_piped(sys.stdin)
    if prompt_file == "-" or piped:
        return sys.stdin.buffer.read()
    if prompt_file is None:
        return b""
    return read_file(prompt_file, "--prompt_file")


def _is_piped(stream) -> bool:
    # A terminal and /dev/null are neither; nothing is waited for there.
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (AttributeError, OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def read_file(path: str, flag: str) -> bytes:
    """Returns the file's bytes.

    Raises:
        UserError: It cannot be read; the message names `flag`.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f"{flag}: cannot read {path}: {error.strerror}. Give a file that "
            "you may read."
        ) from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleRecord:
    """One generated text as `--json` prints it.

    Attributes:
        prompt: The text read first.
        text: What was generated.
        length: Characters generated.
        log_prob: Sum of log p(character) at temperature 1, nats.
        unknown: Characters of the prompt outside the vocabulary.
        finish: "length" or "stop".
        seed: The seed that gives this text again.
    """

    prompt: str
    text: str
    length: int
    log_prob: float
    unknown: int
    finish: str
    seed: int

    def to_json(self) -> str:
        """Returns one line of JSON, without the line's end."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

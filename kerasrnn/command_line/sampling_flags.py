"""The flags that say what text to generate, the same for all programs.

`kerasrnn-sample` and `kerasrnn-query` define them here, so that a command
tried in process works against a server unchanged. No TensorFlow.
"""

import dataclasses
import json
import os
import secrets
import stat
import sys
from typing import Annotated

from absl import flags

from kerasrnn.command_line.escapes import unescaped
from kerasrnn.command_line.flag_types import define_float
from kerasrnn.command_line.flag_types import define_integer
from kerasrnn.command_line.flag_types import define_path
from kerasrnn.errors import UserError
from kerasrnn.foundation.constraints import AMOUNT
from kerasrnn.foundation.constraints import COUNT
from kerasrnn.foundation.constraints import INT64
from kerasrnn.foundation.constraints import SHARE
from kerasrnn.foundation.constraints import Range
from kerasrnn.foundation.constraints import check_fields
from kerasrnn.foundation.constraints import constraints
from kerasrnn.foundation.paths import local_path

MAX_STOP = 32
_INT64 = 2**63


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """What to generate.

    Attributes:
        prompt: UTF-8 text to read first; may be empty.
        length: Characters to generate.
        temperature: Divides the logits; 0 takes the most likely character.
        top_k: Draw from the k most likely characters; 0 turns this off.
        top_p: Draw from the most likely characters whose probabilities add up
            to this; 1 turns this off.
        seed: Seed of the first sample; None draws one.
        stop: Ends a sample once its text ends with it; empty is off.
        num_samples: Samples of the same prompt, with consecutive seeds.
        json: Print one JSON object per line instead of text.
        echo: Print the prompt before the text.
    """

    prompt: bytes = b""
    length: Annotated[int, COUNT] = 500
    temperature: Annotated[float, AMOUNT] = 1.0
    top_k: Annotated[int, COUNT] = 0
    top_p: Annotated[float, SHARE] = 1.0
    seed: Annotated[int | None, INT64] = None
    stop: str = ""
    num_samples: Annotated[int, Range(1, 10**6)] = 1
    json: bool = False
    echo: bool = True

    def __post_init__(self):
        check_fields(self)
        if len(self.stop) > MAX_STOP:
            raise UserError(
                f"stop may have at most {MAX_STOP} characters, not "
                f"{len(self.stop)}."
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
    defaults = SamplingOptions()

    def define(function, name, text):
        function(name, getattr(defaults, name), text, flag_values=flag_values)

    def number(function, name, text):
        allowed = constraints(SamplingOptions)[name]
        function(name, getattr(defaults, name), text, flag_values, allowed)

    flags.DEFINE_string(
        "prompt",
        None,
        "Text that the generated text continues.",
        flag_values=flag_values,
    )
    define_path(
        "prompt_file",
        None,
        "File that holds the prompt; - is standard input, which is also read "
        "if text is piped into it and no prompt is given.",
        flag_values,
    )
    number(define_integer, "length", "Characters to generate.")
    number(
        define_float,
        "temperature",
        "Below 1 is more cautious, above 1 wilder; 0 always takes the most "
        "likely character.",
    )
    number(
        define_integer,
        "top_k",
        "Draw only from this many of the most likely characters; 0 turns this "
        "off.",
    )
    number(
        define_float,
        "top_p",
        "Draw only from the most likely characters whose probabilities add up "
        "to this; 1 turns this off.",
    )
    number(
        define_integer,
        "seed",
        "The same seed gives the same text. Without one a random seed is "
        "drawn and printed to standard error.",
    )
    define(
        flags.DEFINE_string,
        "stop",
        f"End a sample once its text ends with this (at most {MAX_STOP} "
        "characters); \\n is a newline, \\t a tab, \\\\ a backslash, as in a "
        "Python string.",
    )
    number(
        define_integer,
        "num_samples",
        "Number of samples to generate, with consecutive seeds.",
    )
    define(
        flags.DEFINE_bool,
        "json",
        "Print each sample as a JSON object on one line.",
    )
    define(flags.DEFINE_bool, "echo", "Print the prompt before the text.")


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
        return local_path(path, flag).read_bytes()
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

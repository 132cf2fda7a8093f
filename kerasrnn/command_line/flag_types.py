"""Kinds of flags that absl has not: numbers in a range, and local paths."""

import glob
import os

from absl import flags

from kerasrnn.foundation.constraints import Range
from kerasrnn.foundation.paths import complaint_about


def define_path(
    name: str,
    default: str | None,
    text: str,
    flag_values: flags.FlagValues,
    *,
    may_be_empty: bool = False,
) -> None:
    """Defines a flag for a path on this machine.

    Args:
        name: The flag's.
        default: Its value where it is not given.
        text: Its help.
        flag_values: Where to define it.
        may_be_empty: Whether an empty value means something.
    """
    flags.DEFINE(
        _PathParser(may_be_empty),
        name,
        default,
        text,
        flag_values=flag_values,
        serializer=flags.ArgumentSerializer(),
    )


def define_paths(name: str, text: str, flag_values: flags.FlagValues) -> None:
    """Defines a flag for a path or pattern, which may be repeated."""
    flags.DEFINE_multi(
        _PatternParser(False),
        flags.ArgumentSerializer(),
        name,
        [],
        text,
        flag_values=flag_values,
    )


def define_integer(
    name: str,
    default: int | None,
    text: str,
    flag_values: flags.FlagValues,
    allowed: Range,
) -> None:
    """Defines a flag for a whole number in a range."""
    flags.DEFINE(
        _IntegerParser(allowed),
        name,
        default,
        text,
        flag_values=flag_values,
        serializer=flags.ArgumentSerializer(),
    )


def define_float(
    name: str,
    default: float | None,
    text: str,
    flag_values: flags.FlagValues,
    allowed: Range,
) -> None:
    """Defines a flag for a number in a range, never infinite or NaN."""
    flags.DEFINE(
        _FloatParser(allowed),
        name,
        default,
        text,
        flag_values=flag_values,
        serializer=flags.ArgumentSerializer(),
    )


def define_trained_model(flag_values: flags.FlagValues) -> None:
    """Defines --workdir and --checkpoint: which trained model to read."""
    define_path(
        "workdir",
        "workdir",
        "Directory that kerasrnn-train wrote.",
        flag_values,
    )
    flags.DEFINE_enum(
        "checkpoint",
        "best",
        ("best", "latest"),
        "Which weights: those with the best validation loss, or the newest.",
        flag_values=flag_values,
    )


class _InRange:
    """A parser of numbers that takes those in a range alone."""

    number_article: str
    number_name: str

    def __init__(self, allowed: Range):
        super().__init__()
        self.allowed = allowed
        article = f"{self.number_article} {self.number_name}"
        self.syntactic_help = f"{article} {allowed}"

    def is_outside_bounds(self, value) -> bool:
        """Returns whether the value is out of range; NaN always is."""
        return value not in self.allowed


class _IntegerParser(_InRange, flags.IntegerParser):
    pass


class _FloatParser(_InRange, flags.FloatParser):
    pass


class _PathParser(flags.ArgumentParser):
    """Takes what can be a path on this machine."""

    number_name = "path"  # As the help calls the value.

    def __init__(self, may_be_empty: bool):
        super().__init__()
        self._may_be_empty = may_be_empty

    def parse(self, argument):
        """Returns the path; as for a shell, "~" is the home directory."""
        if not isinstance(argument, str):
            raise TypeError(f"expected a path, received {argument!r}")
        complaint = complaint_about(argument)
        if not argument and not self._may_be_empty:
            complaint = "expected a path."
        if complaint:
            raise ValueError(complaint)
        # Shells expand it in a word of its own, but few do after "--flag=".
        return os.path.expanduser(argument)

    def flag_type(self):
        """Returns what `--helpxml` calls it."""
        return "path"


class _PatternParser(_PathParser):
    """Takes what can be a path or a pattern of paths."""

    def parse(self, argument):
        """Returns it; what "~" stands for is never a pattern."""
        path = super().parse(argument)
        home, slash, rest = argument.partition("/")
        if (
            not home.startswith("~")
            or not glob.has_magic(rest)
            or os.path.lexists(path)
        ):
            return path
        return glob.escape(os.path.expanduser(home)) + slash + rest

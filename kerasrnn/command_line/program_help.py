"""What `--help`, `--helpfull` and `--version` print."""

import dataclasses
import importlib.metadata
import os
import platform
import re
import sys
import textwrap
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

from absl import flags

from kerasrnn.version import __version__

# What absl puts into the help of enumerations and of repeated flags.
_ADDED_BY_ABSL = re.compile(
    r"^<[^>]*>: |;\s+repeat this option to specify a list of values$"
)
# In the order in which they are named.
_SHOWN_VERSIONS = {"tensorflow": "TensorFlow", "keras": "Keras"}


@dataclasses.dataclass(frozen=True)
class FlagGroup:
    """Flags that are listed together.

    Attributes:
        title: What they are about.
        daily: Names of those that `--help` lists.
        others: Names of those that only `--helpfull` lists.
    """

    title: str
    daily: tuple[str, ...]
    others: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Help:
    """All that a program can say about itself.

    Attributes:
        documentation: What it does, as its module says it.
        own: Its flags, by name.
        inherited: Flags of the libraries below it, by name.
        groups: How its own are listed; without groups they are one list.
    """

    documentation: str
    own: dict[str, flags.Flag]
    inherited: dict[str, flags.Flag]
    groups: tuple[FlagGroup, ...] = ()

    def short(self) -> str:
        """Returns the documentation, the usage and the daily flags."""
        lines = [*self._heading()]
        for title, daily, _ in self._sections():
            lines += ["", f"{title}:", *_listed(daily)]
        rest = (
            "Lists all other flags, too."
            if any(others for *_, others in self._sections())
            else "Lists the flags of logging, debugging and profiling, too."
        )
        return "\n".join([*lines, *self._common(rest)])

    def full(self) -> str:
        """Returns the same with every flag."""
        lines = [*self._heading()]
        for title, daily, others in self._sections():
            lines += ["", f"{title}:", *_listed([*daily, *others])]
        lines += self._common("Lists all flags: this text.")
        lines += ["", "Logging, debugging and profiling:"]
        shown = dict.fromkeys(
            flag
            for name, flag in self.inherited.items()
            if name == flag.name and not isinstance(flag, PrintingFlag)
        )
        return "\n".join([*lines, *_listed(shown)])

    def _heading(self):
        return [
            *self.documentation.splitlines(),
            "",
            f"Usage: {program_name()} [--flag=value ...]",
        ]

    def _sections(self) -> Iterator[tuple[str, list, list]]:
        """Yields title, daily flags and others of each group."""
        left = dict(self.own)
        for group in self.groups:
            daily, others = (
                [left.pop(name) for name in names if name in left]
                for names in (group.daily, group.others)
            )
            yield group.title, daily, others
        if not self.groups:
            yield "Flags", list(left.values()), []
        elif left:
            yield "More", [], list(left.values())

    def _common(self, helpfull):
        lines = [
            "  --flagfile=FILE",
            "      Reads flags from a file, one per line.",
            "  --version",
            "      Prints the versions of kerasrnn and of what it runs on.",
            "  --helpfull",
            f"      {helpfull}",
        ]
        return ["", "Help:", *lines] if self.groups else lines


class PrintingFlag(flags.BooleanFlag):
    """Prints a text and ends the program as soon as it is parsed."""

    def __init__(
        self,
        name: str,
        short_name: str | None,
        help_text: str,
        text: Callable[[], str],
    ):
        super().__init__(
            name,
            False,
            help_text,
            short_name=short_name,
            allow_override=True,
        )
        self._text = text

    def parse(self, argument: Any) -> None:
        """Prints and exits, where the flag is given."""
        if self._parse(argument):
            print(self._text())
            sys.stdout.flush()
            sys.exit(0)


def define_help_flags(flag_values: flags.FlagValues, texts: Help) -> None:
    """Defines the flags that print something and end the program."""
    for name, short_name, text in (
        ("help", "h", texts.short),
        ("helpshort", "?", texts.short),
        ("helpfull", None, texts.full),
        ("version", None, version_text),
    ):
        flag = PrintingFlag(name, short_name, f"print the {name} text", text)
        flags.DEFINE_flag(flag, flag_values)


def version_text() -> str:
    """Returns the versions that a report of a fault should name."""
    versions = [f"Python {platform.python_version()}"]
    for package, title in _SHOWN_VERSIONS.items():
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            version = "not installed"
        versions.append(f"{title} {version}")
    return f"kerasrnn {__version__} ({', '.join(versions)})"


def program_name() -> str:
    """Returns what the user typed to start this program."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return f"python -m {spec.name.removesuffix('.__main__')}"
    return os.path.basename(sys.argv[0])


def _listed(shown: Iterable[flags.Flag]) -> list[str]:
    lines = []
    for flag in shown:
        lines.append(f"  {_usage(flag)}")
        text = " ".join(_ADDED_BY_ABSL.sub("", flag.help or "").split())
        lines += textwrap.wrap(
            text, 79, initial_indent=" " * 6, subsequent_indent=" " * 6
        )
    return lines


def _usage(flag):
    parser = flag.parser
    if flag.boolean:
        usage = f"--[no]{flag.name}"
    elif isinstance(parser, flags.EnumParser):
        usage = f"--{flag.name}={'|'.join(parser.enum_values)}"
    else:
        kind = getattr(parser, "number_name", "string")
        usage = f"--{flag.name}={kind.upper()}"
    if isinstance(flag, flags.MultiFlag):
        return f"{usage}  (may be repeated)"
    if any("other than None" in v.message for v in flag.validators):
        return f"{usage}  (required)"
    if flag.default in (None, "", []):
        return usage
    return f"{usage}  (default: {flag.default_as_str[1:-1]})"

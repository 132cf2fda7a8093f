"""A text written in turns: a line from the user, the model's continuation."""

import dataclasses
import sys
from collections.abc import Callable
from collections.abc import Iterator

from kerasrnn.command_line.escapes import unescaped
from kerasrnn.command_line.output import remark
from kerasrnn.command_line.output import write
from kerasrnn.command_line.sampling_flags import SamplingOptions
from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import counted
from kerasrnn_serving.client import Client
from kerasrnn_serving.client.errors import ServingError
from kerasrnn_serving.client.errors import VersionGone
from kerasrnn_serving.client.results import Generation

HELP = """\
Your line is added to the text, and the model continues from there; after an
empty line it simply continues. In a line, \\n is a newline and \\\\ is a
backslash; a line that starts with :: starts with one colon.

:temperature 0.7    or :length, :top_k, :top_p, :stop, :seed: from here on
:settings           prints their values
:undo               takes back the last turn
:reset              starts a new text
:show               prints the text so far
:help               prints this
:quit               quits, as the end of the input does

Ctrl-C stops a continuation; the text written so far stays.
"""
_SETTINGS = {
    "temperature": float,
    "length": int,
    "top_k": int,
    "top_p": float,
    "stop": str,
    "seed": int,
}


@dataclasses.dataclass(frozen=True)
class Turn:
    """A text up to here, and the state of the model that has read it.

    Attributes:
        text: Of the user and of the model, UTF-8.
        state_bytes: The token; "" where the model has not read the text.
    """

    text: bytes = b""
    state_bytes: bytes = b""


class Session:
    """A text, turn by turn.

    Args:
        client: The client of the model that continues the text.
        options: What to generate in a turn; its seed must be given.
        say: Called with each note for the user.
    """

    def __init__(
        self,
        client: Client,
        options: SamplingOptions,
        say: Callable[[str], None],
    ):
        self._client = client
        self._say = say
        self._turns = [Turn()]
        self.options = options

    @property
    def text(self) -> bytes:
        """All that was written, by the user and the model."""
        return self._turns[-1].text

    def undo(self) -> None:
        """Takes the last turn back.

        Raises:
            UserError: There is none.
        """
        if len(self._turns) == 1:
            raise UserError("There is no turn to take back.")
        self._turns.pop()

    def reset(self) -> None:
        """Begins a new text."""
        self._turns = [Turn()]

    def set(self, name: str, value: str) -> None:
        """Changes a setting for the turns that follow.

        Raises:
            UserError: It is no such setting, or no such value.
        """
        try:
            value = _SETTINGS[name](value)
        except ValueError:
            kind = {int: "a whole number", float: "a number"}[_SETTINGS[name]]
            raise UserError(f":{name} takes {kind}, not {value!r}.") from None
        self.options = dataclasses.replace(self.options, **{name: value})

    def continuation(self, line: bytes) -> Iterator[str]:
        """Adds a line to the text; yields what the model adds, as it comes.

        What was read of it stays, also where it is not read to its end.

        Raises:
            ServingError: The server fails.
        """
        count, before = len(self._turns), self._turns[-1]
        text, left = before.text + line, self.options.length
        prompt, state_bytes = line, before.state_bytes
        while True:
            try:
                for chunk in self._stream(prompt, left, state_bytes):
                    text += chunk.text.encode()
                    left -= chunk.length
                    self._turns[count:] = [Turn(text, chunk.state_bytes)]
                    yield chunk.text
                return
            except ServingError as error:
                # The token means nothing to a version that came meanwhile.
                foreign = isinstance(error, VersionGone) or (
                    # What the model says of another parameter is for the user.
                    error.row == 0 and error.said.startswith("state_bytes")
                )
                if not state_bytes or not foreign:
                    raise
                prompt, state_bytes = text, b""
                self._say("a new version of the model reads the text so far")

    def _stream(self, prompt, length, state_bytes) -> Iterator[Generation]:
        options = self.options
        for chunk in self._client.stream(
            prompt,
            length=length,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            seed=options.seed,
            stop=options.stop,
            state_bytes=state_bytes,
        ):
            if chunk.unknown:
                self._say(
                    "warning: not in the model's vocabulary, and read as "
                    f"unknown: {counted(chunk.unknown, 'character')}"
                )
            yield chunk


def converse(client: Client, options: SamplingOptions) -> int:
    """Reads lines and writes continuations until the input ends.

    Text goes to standard output, notes to standard error.

    Args:
        client: The client of the model that continues the text.
        options: Of the first turn, which begins with its prompt.

    Returns:
        The exit status.
    """
    (seed,) = options.seeds()
    options = dataclasses.replace(options, seed=seed)
    session = Session(client, options, remark)
    remark(f"seed {seed}; :help lists the commands")
    if options.prompt:
        write(options.prompt if options.echo else b"")
        _continue(session, options.prompt)
    while (line := _read_line()) is not None:
        try:
            if line.startswith(b":") and not line.startswith(b"::"):
                if _obey(session, line[1:].decode("utf-8", "replace")):
                    return 0
            else:
                _continue(session, _unescaped(line.removeprefix(b":")))
        except UserError as error:
            # The text is as it was; the user may continue.
            print(f"error: {error}", file=sys.stderr, flush=True)
    return 0


def _continue(session, line):
    try:
        for text in session.continuation(line):
            write(text.encode())
    except KeyboardInterrupt:
        remark("stopped")
    finally:
        write(b"\n")


def _obey(session, command):
    """Does what a command says; returns whether it is the last one."""
    name, _, value = command.strip().partition(" ")
    if name in _SETTINGS:
        session.set(name, unescaped(value) if name == "stop" else value)
    elif name == "settings":
        for setting in _SETTINGS:
            print(f"{setting} {getattr(session.options, setting)!r}")
    elif name == "undo":
        session.undo()
    elif name == "reset":
        session.reset()
    elif name == "show":
        write(session.text + b"\n")
    elif name == "help":
        print(HELP, end="", file=sys.stderr)
    elif name == "quit":
        return True
    else:
        raise UserError(f"There is no command :{name}; :help lists them.")
    sys.stdout.flush()
    return False


def _unescaped(line):
    parts = line.split(b"\\\\")
    return b"\\".join(part.replace(b"\\n", b"\n") for part in parts)


def _read_line():
    """Returns the next line of standard input without its end, or None."""
    if sys.stdin.isatty():
        try:
            return input("> ").encode("utf-8", "surrogateescape")
        except EOFError:
            write(b"\n")
            return None
    line = sys.stdin.buffer.readline()
    return line.rstrip(b"\r\n") if line else None

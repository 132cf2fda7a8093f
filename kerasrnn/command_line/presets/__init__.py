"""Presets: flagfiles that ship with the package, taken by `--preset=NAME`."""

import pathlib

from kerasrnn.errors import UserError

_DIRECTORY = pathlib.Path(__file__).parent


def names() -> list[str]:
    """Returns the names of the presets."""
    return sorted(path.stem for path in _DIRECTORY.glob("*.flags"))


def summaries() -> list[str]:
    """Returns the name of each preset, and in brackets what it is."""
    # The flagfile says it in its first line.
    return [f"{name} ({_first_line(path(name))})" for name in names()]


def _first_line(flagfile):
    with open(flagfile, encoding="utf-8") as file:
        return file.readline().strip("# .\n")


def path(name: str) -> pathlib.Path:
    """Returns a preset's flagfile.

    Raises:
        UserError: There is none of that name.
    """
    if name not in names():
        raise UserError(
            f"There is no preset {name!r}; there are {', '.join(names())}."
        )
    return _DIRECTORY / f"{name}.flags"


def expand_presets(argv: list[str]) -> list[str]:
    """Puts the flagfile that `--preset` names before all other flags.

    Later flags win in absl, so every flag on the command line wins over the
    preset, wherever it stands.

    Args:
        argv: The program's name, then its arguments.

    Returns:
        The same with `--flagfile=...` for each `--preset`.

    Raises:
        UserError: There is no such preset.
    """
    presets, others = [], []
    arguments = iter(argv[1:])
    for argument in arguments:
        if argument == "--":
            others += [argument, *arguments]
        elif argument in ("--preset", "-preset"):
            name = next(arguments, None)
            if name is None:
                raise UserError(f"--preset needs a name: {', '.join(names())}.")
            presets.append(name)
        elif argument.startswith(("--preset=", "-preset=")):
            presets.append(argument.partition("=")[2])
        else:
            others.append(argument)
    flagfiles = [f"--flagfile={path(name)}" for name in presets]
    return [argv[0], *flagfiles, *others]

"""The directory of exported versions, checked before anything is started."""

from pathlib import Path

from kerasrnn.contract.versions import find_versions
from kerasrnn.errors import UserError


def checked_export_dir(export_dir: str | None) -> Path:
    """Returns the directory that `--export_dir` names.

    Raises:
        UserError: It has no version to serve.
    """
    if not export_dir:
        raise UserError(
            "Give the directory of the exported versions with --export_dir."
        )
    directory = Path(export_dir)
    try:
        versions = find_versions(directory)
    except OSError as error:
        raise UserError(
            f"Cannot read {directory}: {error.strerror}. Give "
            "kerasrnn-export's --export_dir."
        ) from None
    if not versions:
        raise UserError(
            f"No version to serve in {directory}: expected directories named "
            "by numbers, such as 1, each with a SavedModel. "
            + _what_to_do_without_versions(directory)
        )
    return directory


def check_newest(export_dir: Path) -> None:
    """Checks that the version that is served first is a SavedModel.

    Raises:
        UserError: It is none.
    """
    versions = find_versions(export_dir)
    version = versions[max(versions)]
    names = ("saved_model.pb", "saved_model.pbtxt")
    if not any((version / name).is_file() for name in names):
        raise UserError(
            f"The newest version, {version}, has no {names[0]}. Export the "
            "model again with kerasrnn-export, or remove that directory."
        )


def _what_to_do_without_versions(directory):
    if (directory / "saved_model.pb").exists():
        return f"This is one of them: give {directory.resolve().parent}."
    return "Make one with kerasrnn-export."

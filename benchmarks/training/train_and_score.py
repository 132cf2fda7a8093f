"""A model as `kerasrnn-train` makes it, and its loss on the held-out text."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

# Of the text; what is held out is its end.
_VALIDATION_FRACTION = 0.1


def train_and_score(*flags: str) -> dict:
    """Trains a model in a directory of its own, and scores its best checkpoint.

    Args:
        *flags: Those of `kerasrnn-train`, but for the working directory.

    Returns:
        "loss" of all held-out characters, nats per character, read as one
        stream; "steps" that the checkpoint has made; "parameters".
    """
    from kerasrnn.config import Config

    with tempfile.TemporaryDirectory() as directory:
        workdir = f"--workdir={directory}/model"
        run(
            [
                *(sys.executable, "-m", "kerasrnn.train", workdir),
                f"--validation_fraction={_VALIDATION_FRACTION}",
                *flags,
            ]
        )
        model = [sys.executable, "-m", "kerasrnn.evaluate", workdir, "--json"]
        result = last_line([*model, "--streams=1", "--start_state=zero"])
        config = pathlib.Path(directory, "model", "config.json").read_text()
    return {
        "loss": result["loss"],
        "steps": result["step"],
        "parameters": Config.from_json(config).model.num_weights,
    }


def last_line(command: list[str]) -> dict:
    """Runs a program; returns the JSON object in its last line."""
    return json.loads(run(command).splitlines()[-1])


def run(command: list[str]) -> str:
    """Runs a program; returns what it printed.

    Raises:
        SystemExit: It failed.
    """
    result = subprocess.run(
        command,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {result.stderr[-2000:]}")
    return result.stdout

"""Small models, exported by the program and by the library."""

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from absl.testing import absltest
from kerasrnn_export.exporter import export_model
from kerasrnn_export.graph import archive
from kerasrnn_export.graph.sampler import Sampler
from kerasrnn_export.release import verify

from helpers.models import small_models
from kerasrnn.config import Config
from kerasrnn.config import DataConfig
from kerasrnn.model.char_rnn import CharRNN
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.checkpoints.load_model import load_model

KINDS = ("characters", "bytes")
CELLS = {"characters": "lstm", "bytes": "gru"}
PROMPTS = ("", "é", "Ж€ a", "🙂🙂", "zø", "hab\n", "a.b c. Ж")
LENGTH = 200


def make_model(kind):
    vocabulary = small_models.make_vocabulary(kind)
    config = small_models.make_config(vocabulary, cell=CELLS[kind])
    model = CharRNN(config)
    model.build_weights()
    model.set_weights(small_models.random_weights(config))
    return model, vocabulary


def config_of(model, vocabulary):
    return Config(
        model=model.config, data=DataConfig(vocabulary=vocabulary.kind)
    )


def write_workdir(workdir, model, vocabulary):
    weights = {v.path.partition("/")[2]: v.numpy() for v in model.weights}
    checkpoint.save(
        Path(workdir) / "best",
        checkpoint.Checkpoint(
            step=12,
            config=config_of(model, vocabulary),
            vocabulary=vocabulary,
            weights=weights,
            info={"validation_loss": 1.25},
        ),
    )


def write_unverified(workdir, export_dir):
    """Exports a workdir's model without the checks, which take longest."""
    model, vocabulary, _, _ = load_model(workdir)
    weights = [variable.numpy() for variable in model.weights]
    sampler = Sampler(model.config, weights, vocabulary)
    archive.write(sampler, Path(export_dir) / "1")


def run_export(arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "kerasrnn_export.program", *arguments],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


class Exports(NamedTuple):
    """A model of each kind, published once for all tests."""

    directory: Path
    models: dict
    versions: dict
    sessions: dict
    program: subprocess.CompletedProcess


@functools.cache
def published_exports() -> Exports:
    """Publishes characters by the program, and bytes by the library."""
    directory = Path(absltest.TEST_TMPDIR.value) / f"{os.getpid()}"
    models = {kind: make_model(kind) for kind in KINDS}
    workdir = directory / "workdir"
    write_workdir(workdir, *models["characters"])
    program = run_export(
        [
            f"--workdir={workdir}",
            f"--export_dir={directory / 'characters'}",
            "--default_length=5",
        ]
    )
    model, vocabulary = models["bytes"]
    export_model(
        model,
        vocabulary,
        config_of(model, vocabulary),
        directory / "bytes",
        checkpoint={"validation_loss": 1.25},
    )
    versions = {kind: directory / kind / "1" for kind in KINDS}
    sessions = {kind: verify.Session(versions[kind]) for kind in KINDS}
    return Exports(directory, models, versions, sessions, program)

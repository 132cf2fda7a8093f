"""A model of random weights, and servers over it, for the benchmarks."""

import contextlib
import multiprocessing
import re
import select
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

CHARACTERS = (
    "\n abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,;:!?'-&$3"
)
# Longer than any machine should take to import TensorFlow.
_START_SECONDS = 180


def write_export(
    directory, layers: int, units: int, cell: str = "lstm", seed: int = 0
) -> Path:
    """Publishes a model of random weights as the next version."""
    import keras
    from kerasrnn_export.exporter import export_model

    from kerasrnn.config import Config
    from kerasrnn.config import DataConfig
    from kerasrnn.config import ModelConfig
    from kerasrnn.model.char_rnn import CharRNN
    from kerasrnn.text.vocabulary import Vocabulary

    vocabulary = Vocabulary.from_text(CHARACTERS, "characters")
    config = ModelConfig(
        vocabulary_size=len(vocabulary),
        cell=cell,
        units=units,
        num_layers=layers,
    )
    keras.utils.set_random_seed(seed)
    model = CharRNN(config)
    model.build_weights()
    # Fresh weights give nearly equal chances; these prefer some characters.
    random = np.random.default_rng(seed)
    *others, bias = model.get_weights()
    model.set_weights([*others, random.normal(size=bias.shape)])
    return export_model(
        model,
        vocabulary,
        Config(model=config, data=DataConfig()),
        Path(directory),
    )


def write_export_aside(directory, model: str) -> None:
    """Does so in a process of its own: TensorFlow stays out of this one.

    Args:
        directory: Of the versions.
        model: Layers x units, as "2x128".
    """
    layers, units = map(int, model.split("x"))
    context = multiprocessing.get_context("spawn")
    writer = context.Process(
        target=write_export, args=[directory, layers, units]
    )
    writer.start()
    writer.join()
    if writer.exitcode:
        raise RuntimeError("the model could not be exported")


@contextlib.contextmanager
def local_server(directory, *flags: str):
    """Yields (process, target) of a local server in a process of its own."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "kerasrnn_serving.programs.serve",
                "--server=local",
                f"--export_dir={directory}",
                "--port=0",
                *flags,
            ],
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        try:
            ready, _, _ = select.select(
                [process.stdout], [], [], _START_SECONDS
            )
            line = process.stdout.readline().decode() if ready else ""
            match = re.search(r" at ([\w.]+:\d+) ", line)
            if match is None:
                errors.seek(0)
                raise RuntimeError(f"no server: {errors.read().decode()}")
            yield process, match[1]
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

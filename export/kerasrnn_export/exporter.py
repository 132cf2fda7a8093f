"""From a working directory, or a model, to a published version."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from kerasrnn.config import Config
from kerasrnn.errors import UserError
from kerasrnn.foundation.paths import StrPath
from kerasrnn.model.char_rnn import CharRNN
from kerasrnn.text.vocabulary import Vocabulary
from kerasrnn.training.checkpoints.load_model import load_model
from kerasrnn_export.graph import archive
from kerasrnn_export.graph.options import SamplerOptions
from kerasrnn_export.graph.sampler import Sampler
from kerasrnn_export.release import manifest
from kerasrnn_export.release import verify
from kerasrnn_export.release import warmup
from kerasrnn_export.release.publish import preparation
from kerasrnn_export.release.publish import publish


def export_workdir(
    workdir: StrPath,
    export_dir: StrPath,
    which: str = "best",
    options: SamplerOptions | None = None,
    progress: Callable[[str], None] = lambda what: None,
) -> Path:
    """Publishes the model that a working directory holds.

    Args:
        workdir: What `kerasrnn-train` wrote to.
        export_dir: What the server watches.
        which: The checkpoint, "best" or "latest".
        options: Limits and defaults.
        progress: Called with what is done next.

    Returns:
        The version's directory.

    Raises:
        UserError: There is no such checkpoint, `export_dir` cannot be
            written to, or the export's outputs differ from the model's.
    """
    _hide_accelerators()
    progress("Loading the model")
    model, vocabulary, config, info = load_model(workdir, which)
    return export_model(
        model,
        vocabulary,
        config,
        export_dir,
        checkpoint={"checkpoint": which, **info},
        options=options,
        progress=progress,
    )


def export_model(
    model: CharRNN,
    vocabulary: Vocabulary,
    config: Config,
    export_dir: StrPath,
    *,
    checkpoint: dict[str, Any] | None = None,
    options: SamplerOptions | None = None,
    progress: Callable[[str], None] = lambda what: None,
) -> Path:
    """Publishes a model.

    Args:
        model: The model, with its weights.
        vocabulary: Its vocabulary.
        config: The configuration that it was trained with.
        export_dir: What the server watches.
        checkpoint: What is known of the weights, for the manifest.
        options: Limits and defaults.
        progress: Called with what is done next.

    Returns:
        The version's directory.

    Raises:
        UserError: `export_dir` cannot be written to, or the export's outputs
            differ from the model's.
    """
    if model.config.vocabulary_size != len(vocabulary):
        raise UserError(
            f"The model has {model.config.vocabulary_size:,} ids, but the "
            f"vocabulary {len(vocabulary)}: they do not belong together."
        )
    options = options or SamplerOptions()
    weights = [variable.numpy() for variable in model.weights]
    sampler = Sampler(model.config, weights, vocabulary, options)
    with preparation(export_dir) as directory:
        progress("Writing the SavedModel")
        archive.write(sampler, directory)
        warmup.write(directory, vocabulary.characters)
        progress("Checking the graph")
        verify.check_graph(directory)
        progress("Comparing it with the model")
        verify.check_outputs(directory, model, vocabulary)
        progress("Publishing it")
        manifest.write(
            directory,
            config=config,
            vocabulary=vocabulary,
            options=options,
            fingerprint=sampler.fingerprint,
            checkpoint=checkpoint or {},
            tensorflow_version=tf.__version__,
        )
        return publish(directory)


def _hide_accelerators():
    """Traces and verifies on the CPU, whatever the machine has."""
    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError:
        # TensorFlow runs already; the graph names no device all the same.
        pass

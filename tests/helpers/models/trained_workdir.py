"""A working directory with a model of random weights, made in no time."""

import pathlib

from helpers.models import small_models
from kerasrnn.config import Config
from kerasrnn.config import DataConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.text.corpus import build_corpus
from kerasrnn.training.checkpoints import checkpoint
from kerasrnn.training.step.flat_weights import layout


def make_workdir(folder, text: str, vocabulary: str = "characters", **data):
    """Makes `folder/workdir`, as if a model had been trained on `text`.

    Returns:
        `(path, corpus, config, weights)`, weights as a list of arrays.
    """
    folder = pathlib.Path(folder)
    (folder / "text.txt").write_bytes(text.encode())
    data = DataConfig(
        data=(str(folder / "text.txt"),), vocabulary=vocabulary, **data
    )
    path = folder / "workdir"
    corpus = build_corpus(data, path / "corpus")
    model = small_models.make_config(corpus.vocabulary, units=8)
    config = Config(
        model=model,
        data=data,
        training=TrainingConfig(batch_size=3, sequence_length=7),
    )
    weights = small_models.random_weights(model)
    names = layout(model).names
    checkpoint.save(
        path / "best",
        checkpoint.Checkpoint(
            step=12,
            config=config,
            vocabulary=corpus.vocabulary,
            weights=dict(zip(names, weights, strict=True)),
            info={"corpus_sha256": corpus.sha256},
        ),
    )
    return path, corpus, config, weights

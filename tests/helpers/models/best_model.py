"""A working directory that holds nothing but its best model."""

import numpy as np

from kerasrnn.config import Config
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.text.corpus import build_corpus
from kerasrnn.training.checkpoints import checkpoint

TEXT = "to be or not to be, that is the question\n" * 40


def make_model(directory, text, with_corpus=True, **data):
    """Makes a working directory with the best model of a training."""
    source = directory / f"of_{len(text)}.txt"
    source.write_text(text)
    data = DataConfig(data=(str(source),), **data)
    encoded = directory / "corpus" if with_corpus else source.with_suffix("")
    corpus = build_corpus(data, encoded)
    model = ModelConfig(
        vocabulary_size=len(corpus.vocabulary), units=3, num_layers=2
    )
    checkpoint.save(
        directory / "best",
        checkpoint.Checkpoint(
            step=12,
            config=Config(
                model=model, data=data, training=TrainingConfig(batch_size=2)
            ),
            vocabulary=corpus.vocabulary,
            weights={"all": np.zeros(model.num_weights, np.float32)},
            info={"corpus_sha256": corpus.sha256},
        ),
    )

"""Checkpoints made in no time, and what befalls them."""

import hashlib
import json

import numpy as np

from kerasrnn.config import Config
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.text.vocabulary import Vocabulary
from kerasrnn.training.checkpoints import checkpoint

FILES = (
    "config.json",
    "info.json",
    "manifest.json",
    "training.npz",
    "vocabulary.json",
    "weights.npz",
)


def make_checkpoint(step, size=1000, keep=3):
    """Returns a checkpoint with random arrays, a function of the step."""
    draws = np.random.default_rng(step)
    vocabulary = Vocabulary.from_text("to be or not to be\n é")
    model = ModelConfig(vocabulary_size=len(vocabulary), units=3)
    return checkpoint.Checkpoint(
        step=step,
        config=Config(model=model, training=TrainingConfig(keep=keep)),
        vocabulary=vocabulary,
        weights={
            "lstm_0/lstm_cell/kernel": draws.normal(size=(7, 3)).astype("f4"),
            "others": np.zeros(model.num_weights - 25, np.float32),
            "logits/bias": np.array([np.nan, -0.0, np.inf, 1e-45], "f4"),
        },
        training={"weights": draws.normal(size=size).astype(np.float32)},
        info={"best_loss": 1.25, "pending": [[1.5, 2.0, 3.0, 4.0]]},
    )


def damage(path, draws):
    """Deletes, cuts or changes one file of a checkpoint."""
    victim = path / draws.choice(FILES)
    data = bytearray(victim.read_bytes())
    how = draws.choice(("delete", "cut", "flip"))
    if how == "delete":
        victim.unlink()
    elif how == "cut":
        victim.write_bytes(data[: draws.randrange(len(data))])
    else:
        data[draws.randrange(len(data))] ^= 1 << draws.randrange(8)
        victim.write_bytes(data)


def edit_manifest(path, **values):
    """Changes fields of a checkpoint's manifest."""
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, **values}))


def sign(path):
    """Makes the manifest fit the files, as a stranger would."""
    entries = {
        file.name: {
            "bytes": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in path.iterdir()
        if file.name != "manifest.json"
    }
    edit_manifest(path, files=entries)

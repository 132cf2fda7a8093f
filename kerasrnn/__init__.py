"""kerasrnn: character-level recurrent networks, from text to server.

Importing the package imports neither TensorFlow nor Keras; the names below
are looked up in their modules when they are first used.
"""

import importlib

from kerasrnn.extras import told
from kerasrnn.version import __version__

_EXPORTS = {
    "kerasrnn.config": (
        "Config",
        "DataConfig",
        "ModelConfig",
        "TrainingConfig",
    ),
    "kerasrnn.errors": ("UserError",),
    "kerasrnn.layers": (
        "GRU",
        "GRUCell",
        "LSTM",
        "LSTMCell",
        "SimpleRNN",
        "SimpleRNNCell",
        "StepRNN",
    ),
    "kerasrnn.model.char_rnn": ("CharRNN",),
    "kerasrnn.model.text_generator": ("TextGenerator",),
    "kerasrnn.text.corpus": ("Corpus", "build_corpus"),
    "kerasrnn.text.batches.dataset": ("Batch", "TextDataset"),
    "kerasrnn.text.vocabulary": ("Vocabulary",),
    "kerasrnn.training.checkpoints.load_model": ("load_model",),
    "kerasrnn.training.train_and_evaluate": ("train_and_evaluate",),
}
_MODULES = {
    name: module for module, names in _EXPORTS.items() for name in names
}
_SUBMODULES = {
    name: f"kerasrnn.{name}"
    for name in ("layers", "model", "sampling", "text", "training")
}
# Under the name that it had when it was at the top.
_SUBMODULES["tensorflow_noise"] = "kerasrnn.command_line.quiet_tensorflow"

__all__ = ["__version__", *_MODULES]


def __getattr__(name):
    if name in _MODULES:
        module = _MODULES[name]
    elif name in _SUBMODULES:
        module = _SUBMODULES[name]
    else:
        raise AttributeError(f"module 'kerasrnn' has no attribute {name!r}")
    with told(f"kerasrnn.{name}"):
        found = importlib.import_module(module)
    return getattr(found, name) if name in _MODULES else found


def __dir__():
    return sorted({*globals(), *__all__, *_SUBMODULES})

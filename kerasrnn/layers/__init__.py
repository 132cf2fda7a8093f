"""Keras cells and layers with their own loop over time."""

from kerasrnn import keras_backend
from kerasrnn.extras import told

with told("kerasrnn.layers"):
    import keras  # noqa: F401

    if obstacle := keras_backend.obstacle("kerasrnn.layers"):
        raise ImportError(obstacle)
    from kerasrnn.layers.gru import GRU
    from kerasrnn.layers.gru import GRUCell
    from kerasrnn.layers.lstm import LSTM
    from kerasrnn.layers.lstm import LSTMCell
    from kerasrnn.layers.simple_rnn import SimpleRNN
    from kerasrnn.layers.simple_rnn import SimpleRNNCell
    from kerasrnn.layers.step_rnn import StepRNN
    from kerasrnn.recurrence.threads import configure_threads

__all__ = [
    "GRU",
    "GRUCell",
    "LSTM",
    "LSTMCell",
    "SimpleRNN",
    "SimpleRNNCell",
    "StepRNN",
    "configure_threads",
]

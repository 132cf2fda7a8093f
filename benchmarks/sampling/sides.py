"""The sides of the sampling benchmark: what each does in one step.

A side is made from the kind of cell and the numbers of layers, units and rows.
"""

import tempfile

import numpy as np

VOCABULARY = 65
CELLS = {"simple_rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}
_TORCH = {"simple_rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
# Characters of one call of ours, the most that a call may ask for, and of one
# step of the peers.
LENGTH = 512
PEER_LENGTH = 32
# Times that tokens are read and written in one call: Python's call of a graph
# takes longer than once.
ROUND_TRIPS = 16


def characters_of_a_step(side: str) -> int:
    """Returns how many characters of each row one step of a side makes."""
    return PEER_LENGTH if side in ("keras", "torch") else LENGTH


def _model(cell, layers, units):
    from kerasrnn.config import ModelConfig
    from kerasrnn.model.char_rnn import CharRNN
    from kerasrnn.text.vocabulary import Vocabulary

    characters = "\n" + "".join(map(chr, range(32, 32 + VOCABULARY - 2)))
    config = ModelConfig(
        vocabulary_size=VOCABULARY,
        cell=cell,
        units=units,
        num_layers=layers,
        dropout=0.0,
    )
    model = CharRNN(config)
    model.build_weights()
    weights = [variable.numpy() for variable in model.weights]
    return config, weights, Vocabulary.from_text(characters, "characters")


def _session(cell, layers, units):
    """An export in a session, as a server has it."""
    from kerasrnn_export.graph import archive
    from kerasrnn_export.graph.sampler import Sampler
    from kerasrnn_export.release.verify import Session

    config, weights, vocabulary = _model(cell, layers, units)
    with tempfile.TemporaryDirectory() as directory:
        archive.write(Sampler(config, weights, vocabulary), directory)
        return Session(directory)


def _generating(cell, layers, units, rows, length):
    session = _session(cell, layers, units)
    tokens = [b""] * rows

    def work():
        nonlocal tokens
        # With one value a row of every input, as the client sends them.
        result = session(
            "generate",
            prompt=[b""] * rows,
            state_bytes=tokens,
            length=[length] * rows,
            temperature=[1.0] * rows,
            top_k=[0] * rows,
            top_p=[1.0] * rows,
            seed=list(range(rows)),
            stop=[b""] * rows,
        )
        tokens = list(result["state_bytes"])

    return work


def _exported(cell, layers, units, rows):
    return _generating(cell, layers, units, rows, LENGTH)


def _state(cell, layers, units, rows):
    return _generating(cell, layers, units, rows, 0)


def _token(cell, layers, units, rows):
    """Reads tokens and writes them again, many times in one graph."""
    import tensorflow as tf
    from kerasrnn_export.graph.state_token import FINGERPRINT_LENGTH
    from kerasrnn_export.graph.state_token import Carried
    from kerasrnn_export.graph.state_token import TokenCodec
    from kerasrnn_export.graph.state_token import state_bounds

    from kerasrnn.model.weights import state_sizes
    from kerasrnn.sampling.generate import HISTORY

    config, _, _ = _model(cell, layers, units)
    sizes = state_sizes(config)
    codec = TokenCodec(
        "0" * FINGERPRINT_LENGTH,
        [np.zeros(size, np.float32) for size in sizes],
        state_bounds(config),
        VOCABULARY,
    )
    tokens = codec.encode(
        Carried(
            tf.zeros([rows], tf.int64),
            tf.zeros([rows, HISTORY], tf.int32),
            tf.zeros([rows], tf.int32),
            [tf.zeros([rows, size]) for size in sizes],
        )
    )

    @tf.function(autograph=False)
    def turn(tokens):
        errors = tf.fill(tf.shape(tokens), "")
        for _ in range(ROUND_TRIPS):
            carried, errors = codec.decode(tokens, errors)
            tokens = codec.encode(carried)
        return tokens, errors

    def work():
        nonlocal tokens
        tokens, errors = turn(tokens)
        if any(errors.numpy()):
            raise RuntimeError(f"A token was refused: {errors}")

    return work


def _score(cell, layers, units, rows):
    session = _session(cell, layers, units)
    text = "".join(chr(33 + index % 60) for index in range(LENGTH)).encode()
    tokens = [b""] * rows

    def work():
        nonlocal tokens
        result = session("score", text=[text] * rows, state_bytes=tokens)
        tokens = list(result["state_bytes"])

    return work


def _evaluate(cell, layers, units, rows):
    import tensorflow as tf

    from kerasrnn.training.evaluation.evaluator import Evaluator
    from kerasrnn.training.step.flat_weights import initial_weights

    config, _, _ = _model(cell, layers, units)
    layout, weights = initial_weights(config, seed=0)
    evaluator = Evaluator(config, layout, sequence_length=64)
    random = np.random.default_rng(0)
    ids = random.integers(1, VOCABULARY, rows * LENGTH + 1)
    ranges = [(0, rows * LENGTH)]
    weights = tf.convert_to_tensor(weights)
    return lambda: evaluator(weights, ids, ranges, rows, start_id=1)


def _inprocess(cell, layers, units, rows):
    del rows
    from kerasrnn.model.text_generator import TextGenerator

    config, weights, vocabulary = _model(cell, layers, units)
    generator = TextGenerator(config, vocabulary)
    weights = list(map(_tensor, weights))

    def work():
        for _ in generator.stream(weights, length=LENGTH):
            pass

    return work


def _tensor(array):
    import tensorflow as tf

    return tf.constant(array)


def _keras(cell, layers, units, rows):
    import keras
    import tensorflow as tf

    layer = getattr(keras.layers, CELLS[cell])
    stack = [
        layer(units, return_sequences=True, return_state=True)
        for _ in range(layers)
    ]
    dense = keras.layers.Dense(VOCABULARY)

    @tf.function
    def step(ids, states):
        values = tf.one_hot(ids, VOCABULARY)  # [N, 1, V]
        next_states = []
        for recurrent, state in zip(stack, states, strict=True):
            values, *state = recurrent(values, initial_state=state)
            next_states.append(state)
        logits = dense(values)[:, -1]
        return tf.random.categorical(logits, 1), next_states

    of_a_layer = 2 if cell == "lstm" else 1
    ids = tf.zeros([rows, 1], tf.int64)
    states = [[tf.zeros([rows, units])] * of_a_layer for _ in stack]

    def work():
        nonlocal ids, states
        for _ in range(PEER_LENGTH):
            ids, states = step(ids, states)
        ids.numpy()

    return work


def _torch(cell, layers, units, rows):
    import torch

    recurrent = getattr(torch.nn, _TORCH[cell])(
        VOCABULARY, units, layers, batch_first=True
    )
    dense = torch.nn.Linear(units, VOCABULARY)
    ids, states = torch.zeros(rows, 1, dtype=torch.long), None

    @torch.no_grad()
    def work():
        nonlocal ids, states
        for _ in range(PEER_LENGTH):
            values = torch.nn.functional.one_hot(ids, VOCABULARY).float()
            values, states = recurrent(values, states)
            weights = torch.softmax(dense(values[:, -1]), -1)
            ids = torch.multinomial(weights, 1)

    return work


SIDES = {
    "exported": _exported,
    "inprocess": _inprocess,
    "score": _score,
    "evaluate": _evaluate,
    "state": _state,
    "token": _token,
    "keras": _keras,
    "torch": _torch,
}

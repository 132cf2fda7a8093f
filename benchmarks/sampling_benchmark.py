"""Times generating and scoring against keras.layers and PyTorch.

    python benchmarks/sampling_benchmark.py
    python benchmarks/sampling_benchmark.py --shapes=2x128x1 --rounds=9
    python benchmarks/sampling_benchmark.py --cell=gru --sides=exported,torch

A shape is layers x units x rows. All sides run the same model, with 65
characters and temperature 1, by their default threads, and none is compiled
with XLA:

    exported   signature generate of an export, in a session as servers run it
    inprocess  `TextGenerator`, which kerasrnn-sample uses (one row)
    score      signature score of that export, on texts as long
    evaluate   the evaluation loop of kerasrnn-evaluate, 32 rows
    state      signature generate with a length of 0, with state_bytes
    empty      the same of a model of one unit, whose state_bytes is short
    keras      keras.layers, one call a character in a tf.function, as
               TensorFlow's tutorial on text generation does it (one row)
    torch      torch.nn, one call a character, without gradients
               (`pip install '.[bench]'`)

Each side lives in a process of its own and they take turns. Medians over the
rounds are printed, and ratios with the quartiles of their spread.
"""

import sys
import tempfile

import alternation
import numpy as np
from absl import app
from absl import flags

_VOCABULARY = 65
_CELLS = {"simple_rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}
_TORCH = {"simple_rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
# Characters of one call of ours, the most that a call may ask for, and of one
# turn of the peers.
_LENGTH = 512
_PEER_LENGTH = 32
# (faster, slower): how many times as fast the first is as the second.
_RATIOS = (
    ("exported", "keras"),
    ("exported", "torch"),
    ("inprocess", "keras"),
    ("inprocess", "torch"),
    ("score", "exported"),
    ("score", "evaluate"),
)


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    flags.DEFINE_list(
        "shapes",
        ["2x128x1", "3x512x1", "3x512x32"],
        "Layers x units x rows, one after the other.",
        flag_values=flag_values,
    )
    flags.DEFINE_enum(
        "cell",
        "lstm",
        sorted(_CELLS),
        "Kind of cell.",
        flag_values=flag_values,
    )
    flags.DEFINE_list(
        "sides", list(_SIDES), "Which sides take part.", flag_values=flag_values
    )
    flags.DEFINE_integer(
        "rounds", 5, "Turns of each side.", flag_values=flag_values
    )
    flags.DEFINE_float(
        "seconds", 0.25, "Length of a turn.", flag_values=flag_values
    )
    flags.DEFINE_string("worker", "", "Internal.", flag_values=flag_values)
    flags.DEFINE_string("shape", "", "Internal.", flag_values=flag_values)


def main(argv):
    """Runs the sides of each shape in turns, or is one of them."""
    del argv
    options = flags.FLAGS
    if options.worker:
        side = _SIDES[options.worker]
        alternation.serve_turns(side(*_shape(options.shape)))
        return
    sides = list(options.sides)
    if "torch" in sides and not alternation.is_installed("torch"):
        sides.remove("torch")
    for shape in options.shapes:
        _, _, rows = _shape(shape)
        chosen = [side for side in sides if _takes_part(side, rows)]
        workers = {
            side: alternation.Worker(
                [*sys.argv, f"--shape={shape}", f"--worker={side}"]
            )
            for side in chosen
        }
        seconds = alternation.alternate(
            workers, options.rounds, seconds=options.seconds
        )
        _report(shape, rows, seconds)


def _shape(text):
    return [int(number) for number in text.split("x")]


def _takes_part(side, rows):
    if side in ("inprocess", "keras"):
        return rows == 1
    return side != "evaluate" or rows == 32


def _report(shape, rows, seconds):
    print(f"{shape} {flags.FLAGS.cell}, {flags.FLAGS.rounds} rounds")
    state = seconds.pop("state", None)
    empty = seconds.pop("empty", None)
    # Of one character, of all rows.
    seconds = {
        side: values / (_PEER_LENGTH if side in ("keras", "torch") else _LENGTH)
        for side, values in seconds.items()
    }
    for side, values in seconds.items():
        rate = rows / np.median(values)
        print(f"  {side:9s} {rate:10,.0f} characters/s (median)")
    for fast, slow in _RATIOS:
        if fast in seconds and slow in seconds:
            ratio = alternation.ratio(seconds[slow], seconds[fast])
            print(f"  {fast} / {slow}: {ratio}")
    if state is not None and empty is not None:
        milliseconds = 1000 * np.median(np.subtract(state, empty)) / rows
        whole = 1000 * np.median(state) / rows
        print(
            f"  what state_bytes costs: {milliseconds:.2f} ms a row, of "
            f"{whole:.2f} ms of a call that generates nothing"
        )


def _model(layers, units):
    from kerasrnn.config import ModelConfig
    from kerasrnn.model.char_rnn import CharRNN
    from kerasrnn.text.vocabulary import Vocabulary

    characters = "\n" + "".join(map(chr, range(32, 32 + _VOCABULARY - 2)))
    config = ModelConfig(
        vocabulary_size=_VOCABULARY,
        cell=flags.FLAGS.cell,
        units=units,
        num_layers=layers,
        dropout=0.0,
    )
    model = CharRNN(config)
    model.build_weights()
    weights = [variable.numpy() for variable in model.weights]
    return config, weights, Vocabulary.from_text(characters, "characters")


def _session(layers, units):
    """An export in a session, as a server has it."""
    from kerasrnn_export.graph import archive
    from kerasrnn_export.graph.sampler import Sampler
    from kerasrnn_export.release.verify import Session

    config, weights, vocabulary = _model(layers, units)
    with tempfile.TemporaryDirectory() as directory:
        archive.write(Sampler(config, weights, vocabulary), directory)
        return Session(directory)


def _generating(layers, units, rows, length):
    session = _session(layers, units)
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


def _exported(layers, units, rows):
    return _generating(layers, units, rows, _LENGTH)


def _state(layers, units, rows):
    return _generating(layers, units, rows, 0)


def _empty(layers, units, rows):
    del layers, units
    return _generating(1, 1, rows, 0)


def _score(layers, units, rows):
    session = _session(layers, units)
    text = "".join(chr(33 + index % 60) for index in range(_LENGTH)).encode()
    tokens = [b""] * rows

    def work():
        nonlocal tokens
        result = session("score", text=[text] * rows, state_bytes=tokens)
        tokens = list(result["state_bytes"])

    return work


def _evaluate(layers, units, rows):
    import tensorflow as tf

    from kerasrnn.training.evaluation.evaluator import Evaluator
    from kerasrnn.training.step.flat_weights import initial_weights

    config, _, _ = _model(layers, units)
    layout, weights = initial_weights(config, seed=0)
    evaluator = Evaluator(config, layout, sequence_length=64)
    random = np.random.default_rng(0)
    ids = random.integers(1, _VOCABULARY, rows * _LENGTH + 1)
    ranges = [(0, rows * _LENGTH)]
    weights = tf.convert_to_tensor(weights)
    return lambda: evaluator(weights, ids, ranges, rows, start_id=1)


def _inprocess(layers, units, rows):
    del rows
    from kerasrnn.model.text_generator import TextGenerator

    config, weights, vocabulary = _model(layers, units)
    generator = TextGenerator(config, vocabulary)
    weights = list(map(_tensor, weights))

    def work():
        for _ in generator.stream(weights, length=_LENGTH):
            pass

    return work


def _tensor(array):
    import tensorflow as tf

    return tf.constant(array)


def _keras(layers, units, rows):
    import keras
    import tensorflow as tf

    layer = getattr(keras.layers, _CELLS[flags.FLAGS.cell])
    stack = [
        layer(units, return_sequences=True, return_state=True)
        for _ in range(layers)
    ]
    dense = keras.layers.Dense(_VOCABULARY)

    @tf.function
    def step(ids, states):
        values = tf.one_hot(ids, _VOCABULARY)  # [N, 1, V]
        next_states = []
        for recurrent, state in zip(stack, states, strict=True):
            values, *state = recurrent(values, initial_state=state)
            next_states.append(state)
        logits = dense(values)[:, -1]
        return tf.random.categorical(logits, 1), next_states

    of_a_layer = 2 if flags.FLAGS.cell == "lstm" else 1
    ids = tf.zeros([rows, 1], tf.int64)
    states = [[tf.zeros([rows, units])] * of_a_layer for _ in stack]

    def work():
        nonlocal ids, states
        for _ in range(_PEER_LENGTH):
            ids, states = step(ids, states)
        ids.numpy()

    return work


def _torch(layers, units, rows):
    import torch

    recurrent = getattr(torch.nn, _TORCH[flags.FLAGS.cell])(
        _VOCABULARY, units, layers, batch_first=True
    )
    dense = torch.nn.Linear(units, _VOCABULARY)
    ids, states = torch.zeros(rows, 1, dtype=torch.long), None

    @torch.no_grad()
    def work():
        nonlocal ids, states
        for _ in range(_PEER_LENGTH):
            values = torch.nn.functional.one_hot(ids, _VOCABULARY).float()
            values, states = recurrent(values, states)
            weights = torch.softmax(dense(values[:, -1]), -1)
            ids = torch.multinomial(weights, 1)

    return work


_SIDES = {
    "exported": _exported,
    "inprocess": _inprocess,
    "score": _score,
    "evaluate": _evaluate,
    "state": _state,
    "empty": _empty,
    "keras": _keras,
    "torch": _torch,
}

if __name__ == "__main__":
    define_flags()
    app.run(main)

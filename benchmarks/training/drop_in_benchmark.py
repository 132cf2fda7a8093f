r"""Times common Keras programs with keras.layers and with ours in their place.

    python -m benchmarks.training.drop_in_benchmark
    python -m benchmarks.training.drop_in_benchmark \
        --programs=timeseries,addition
    python -m benchmarks.training.drop_in_benchmark --predict --programs=pixels
    python -m benchmarks.training.drop_in_benchmark --eager --programs=addition

Each program is a small model with the shapes of a well-known example and
random data: `train_on_batch` of a compiled Keras model, or with `--predict`
`predict_on_batch`, or in the case of `jacobian` a `tf.function` of one. With
`--eager`, Keras runs them without a graph. Nothing in it but the module of the
layers differs between the two sides.

Every side is started several times, in a process of its own, in alternation.
Printed are the medians and quartiles over these starts of

    the first step   processor seconds of all threads: tracing, compiling and
                     running it once (importing and building are not in it)
    later steps      wall time, the two sides taking turns

and of the ratio of each to Keras'.
"""

import sys
import time

import numpy as np
from absl import app
from absl import flags

from benchmarks.shared.alternation import Worker
from benchmarks.shared.alternation import alternate
from benchmarks.shared.alternation import define_worker
from benchmarks.shared.alternation import serve_turns
from benchmarks.shared.alternation import this_program

_SIDES = ("keras", "ours")


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    flags.DEFINE_list(
        "programs",
        list(_PROGRAMS),
        "Which programs to time.",
        flag_values=flag_values,
    )
    for name, value, text in (
        ("starts", 3, "Processes of each side."),
        ("rounds", 5, "Turns of each process."),
    ):
        flags.DEFINE_integer(name, value, text, 1, flag_values=flag_values)
    for name, text in (
        ("predict", "Time prediction."),
        ("eager", "Time eager mode (run_eagerly=True of Keras)."),
    ):
        flags.DEFINE_bool(name, False, text, flag_values=flag_values)
    define_worker(flag_values)


def main(argv):
    """Runs the programs one after the other, or one side as a worker."""
    del argv
    options = flags.FLAGS
    if options.worker:
        _work(options.worker, *options.programs)
        return
    for program in options.programs:
        first, later = _measure(program)
        print(f"{program}: {_PROGRAMS[program].__doc__}")
        for side in _SIDES:
            print(
                f"  {side:6s} first step {_spread(first[side])} s,"
                f" later ones {_spread(later[side] * 1e3)} ms"
            )
        ratios = [_spread(s["ours"] / s["keras"]) for s in (first, later)]
        print(
            f"  ours / keras: first step {ratios[0]}, later ones {ratios[1]}",
            flush=True,
        )


def _measure(program):
    """`(first, later)`: seconds by side, arrays over the starts."""
    options = flags.FLAGS
    first = {side: [] for side in _SIDES}
    later = {side: [] for side in _SIDES}
    command = [
        *this_program(),
        f"--programs={program}",
        f"--predict={options.predict}",
        f"--eager={options.eager}",
    ]
    for _ in range(options.starts):
        workers = {}
        for side in _SIDES:
            workers[side] = Worker([*command, f"--worker={side}"])
            first[side].append(workers[side].turn(1))
        for side, values in alternate(workers, options.rounds).items():
            later[side].append(np.median(values))
    return (
        {side: np.array(values) for side, values in seconds.items()}
        for seconds in (first, later)
    )


def _spread(values):
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _work(side, program):
    """Answers with the processor seconds of the first step, then as usual."""
    import keras

    import kerasrnn.layers

    layers = {"keras": keras.layers, "ours": kerasrnn.layers}[side]
    keras.utils.set_random_seed(0)
    step = _PROGRAMS[program](layers)
    sys.stdin.readline()
    start = time.process_time()
    step()
    print(time.process_time() - start, flush=True)
    serve_turns(step)


def _on_batch(model, loss, inputs, targets):
    """One step of a Keras model on one batch."""
    model.compile("adam", loss, run_eagerly=flags.FLAGS.eager)
    if flags.FLAGS.predict:
        return lambda: model.predict_on_batch(inputs)
    return lambda: model.train_on_batch(inputs, targets)


def _normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def _one_hot(*shape):
    """Random rows of the last dimension's size with a single one."""
    ids = np.random.default_rng(0).integers(shape[-1], size=shape[:-1])
    return np.eye(shape[-1], dtype="float32")[ids]


def _reviews(layers):
    """Two bidirectional GRUs of 64 over 1,000 words, batch 32."""
    import keras

    words = np.random.default_rng(0).integers(20_000, size=(32, 1000))
    model = keras.Sequential(
        [
            keras.Input((1000,), dtype="int32"),
            keras.layers.Embedding(20_000, 128),
            keras.layers.Bidirectional(layers.GRU(64, return_sequences=True)),
            keras.layers.Bidirectional(layers.GRU(64)),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )
    targets = (words[:, :1] % 2).astype("float32")
    return _on_batch(model, "binary_crossentropy", words, targets)


def _translation(layers):
    """An LSTM of 256 reads 16 characters, another writes 59, batch 64."""
    import keras

    source = keras.Input((None, 71))
    _, *states = layers.LSTM(256, return_state=True)(source)
    target = keras.Input((None, 93))
    hidden = layers.LSTM(256, return_sequences=True)(
        target, initial_state=states
    )
    outputs = keras.layers.Dense(93, "softmax")(hidden)
    model = keras.Model([source, target], outputs)
    inputs = [_one_hot(64, 16, 71), _one_hot(64, 59, 93)]
    return _on_batch(model, "categorical_crossentropy", inputs, inputs[1])


def _timeseries(layers):
    """An LSTM of 32 over 120 measurements of 7 values, batch 256."""
    import keras

    model = keras.Sequential(
        [keras.Input((120, 7)), layers.LSTM(32), keras.layers.Dense(1)]
    )
    return _on_batch(model, "mse", _normal(256, 120, 7), _normal(256, 1))


def _characters(layers):
    """An LSTM of 128 over 40 characters, batch 128."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((40, 56)),
            layers.LSTM(128),
            keras.layers.Dense(56, "softmax"),
        ]
    )
    return _on_batch(
        model,
        "categorical_crossentropy",
        _one_hot(128, 40, 56),
        _one_hot(128, 56),
    )


def _addition(layers):
    """LSTMs of 128 read 7 characters and write 4, batch 32."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((7, 12)),
            layers.LSTM(128),
            keras.layers.RepeatVector(4),
            layers.LSTM(128, return_sequences=True),
            keras.layers.Dense(12, "softmax"),
        ]
    )
    return _on_batch(
        model,
        "categorical_crossentropy",
        _one_hot(32, 7, 12),
        _one_hot(32, 4, 12),
    )


def _pixels(layers):
    """A SimpleRNN of 100 with relu over 784 pixels, batch 32."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((784, 1)),
            layers.SimpleRNN(
                100,
                activation="relu",
                kernel_initializer=keras.initializers.RandomNormal(
                    stddev=0.001
                ),
                recurrent_initializer="identity",
            ),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    return _on_batch(
        model, "categorical_crossentropy", _normal(32, 784, 1), _one_hot(32, 10)
    )


def _recurrent_dropout(layers):
    """An LSTM of 64 with recurrent dropout over 50 steps of 16, batch 32."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((50, 16)),
            layers.LSTM(64, recurrent_dropout=0.2),
            keras.layers.Dense(1),
        ]
    )
    return _on_batch(model, "mse", _normal(32, 50, 16), _normal(32, 1))


def _jacobian(layers):
    """The Jacobian of an LSTM's 32 outputs by 20 inputs of 8, batch 16."""
    import tensorflow as tf

    layer = layers.LSTM(32)
    inputs = tf.constant(_normal(16, 20, 8))
    layer.build(inputs.shape)

    @tf.function
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
        return tape.jacobian(outputs, inputs)

    return lambda: step(inputs).numpy()


_PROGRAMS = {
    "reviews": _reviews,
    "translation": _translation,
    "timeseries": _timeseries,
    "characters": _characters,
    "addition": _addition,
    "pixels": _pixels,
    "recurrent_dropout": _recurrent_dropout,
    "jacobian": _jacobian,
}

if __name__ == "__main__":
    define_flags()
    app.run(main)

r"""Times a whole training step against keras.layers and PyTorch.

    python -m benchmarks.training.training_benchmark
    python -m benchmarks.training.training_benchmark --units=512 --batch=64 \
        --length=100

The first command goes through all shapes of the table in docs/performance.md
(a few minutes). A step is forward, backward, clip and Adam on a stack of
recurrent layers and a dense one, as a plain `tf.function`. Each side lives in
a process of its own and they take turns:

    keras    keras.layers in a keras.Sequential, one-hot input
    layers   kerasrnn.layers in their place, the same program
    threads  the same after `kerasrnn.layers.configure_threads`
    charrnn  CharRNN on ids, with the gradient, the threads and the oneDNN of
             kerasrnn-train
    torch    torch.nn in the same arrangement (`pip install '.[bench]'`)
    product  one product of large matrices: what the machine can do

The other sides multiply by oneDNN where TensorFlow does so by itself, or where
`TF_ENABLE_ONEDNN_OPTS=1` is set.

The median over the rounds is printed, the share of the machine's rate of
products that each side reaches, and our sides' ratios to each peer with the
quartiles of their spread over the rounds.
"""

import os

import numpy as np
from absl import app
from absl import flags

from benchmarks.shared.alternation import Worker
from benchmarks.shared.alternation import alternate
from benchmarks.shared.alternation import define_worker
from benchmarks.shared.alternation import is_installed
from benchmarks.shared.alternation import ratio
from benchmarks.shared.alternation import serve_turns
from benchmarks.shared.alternation import this_program
from kerasrnn.foundation.processor import prefer_onednn

_VOCABULARY = 65
_TORCH = {"simple_rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
_KERAS = {"simple_rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}
_GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3}
_SMALL = {"units": 128, "batch": 50, "length": 50, "dtype": "float32"}
_LARGE = {"units": 512, "batch": 64, "length": 100, "dtype": "float32"}
_TABLE = (
    {"cell": "lstm", **_SMALL},
    {"cell": "lstm", **_LARGE},
    {"cell": "lstm", **_LARGE, "dtype": "bfloat16"},
    {"cell": "gru", **_SMALL},
    {"cell": "gru", **_LARGE},
    {"cell": "simple_rnn", **_SMALL},
    {"cell": "simple_rnn", **_LARGE},
)


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    flags.DEFINE_enum(
        "cell", "lstm", sorted(_KERAS), "Kind of cell.", flag_values=flag_values
    )
    for name, value, text in (
        ("layers", 2, "Number of recurrent layers."),
        ("units", 0, "Width of each layer; 0 is the whole table."),
        ("batch", 50, "Streams side by side."),
        ("length", 50, "Time steps of a stream."),
        ("rounds", 15, "Turns of each side."),
        ("steps", 0, "Steps a turn; 0 is about half a second of them."),
    ):
        flags.DEFINE_integer(name, value, text, flag_values=flag_values)
    flags.DEFINE_enum(
        "dtype",
        "float32",
        ["float32", "bfloat16"],
        "bfloat16: the mixed_bfloat16 policy, and autocast in PyTorch.",
        flag_values=flag_values,
    )
    flags.DEFINE_list(
        "sides",
        ["keras", "layers", "threads", "charrnn", "torch", "product"],
        "Which sides take part.",
        flag_values=flag_values,
    )
    define_worker(flag_values)


def main(argv):
    """Runs the sides in turns, or one of them as a worker."""
    del argv
    options = flags.FLAGS
    if options.worker:
        serve_turns(_SIDES[options.worker](options))
        return
    sides = [s for s in options.sides if s != "torch" or is_installed(s)]
    for shape in _TABLE if not options.units else ({},):
        for name, value in shape.items():
            options[name].value = value
        arguments = this_program() + [
            f"--{name}={options[name].value}"
            for name in ("cell", "layers", "units", "batch", "length", "dtype")
        ]
        workers = {
            side: Worker([*arguments, f"--worker={side}"]) for side in sides
        }
        seconds = alternate(
            workers, options.rounds, options.steps, optional=("torch",)
        )
        _report(options, seconds)


def _report(options, seconds):
    characters = options.batch * options.length
    print(
        f"{options.layers}x{options.units} {options.cell} "
        f"batch {options.batch} length {options.length} {options.dtype}, "
        f"{options.rounds} rounds"
    )
    for side, values in seconds.items():
        if side == "product":
            continue
        rate = characters / np.median(values)
        print(f"  {side:8s} {rate:10,.0f} characters/s (median)", end="")
        if "product" in seconds:
            share = _operations(options) / values
            share /= _PRODUCT_OPERATIONS / seconds["product"]
            print(f", {np.median(share):.0%} of the rate of products", end="")
        print()
    for ours in ("layers", "threads", "charrnn"):
        for peer in ("keras", "torch"):
            if ours in seconds and peer in seconds:
                spread = ratio(seconds[peer], seconds[ours])
                print(f"  {ours} / {peer}: {spread}", flush=True)


def _operations(options):
    """Multiplications and additions of a step's products, one-hot apart."""
    square = options.units**2 * _GATES[options.cell]
    kernels = (2 * options.layers - 1) * square + options.units * _VOCABULARY
    return 3 * 2 * kernels * options.batch * options.length


_PRODUCT = (6400, 512, 2048)
_PRODUCT_OPERATIONS = 2 * 6400 * 512 * 2048


def _product(options):
    prefer_onednn(os.environ)
    import tensorflow as tf

    rows, inner, columns = _PRODUCT
    dtype = tf.as_dtype(options.dtype)
    left = tf.cast(tf.random.normal([rows, inner]), dtype)
    right = tf.cast(tf.random.normal([inner, columns]), dtype)
    product = tf.function(lambda: tf.matmul(left, right)[0, 0])
    return lambda: product().numpy()


def _batch(options):
    generator = np.random.default_rng(0)
    shape = (options.batch, options.length)
    return [
        generator.integers(1, _VOCABULARY, shape).astype("int32")
        for _ in range(2)
    ]


def _sequential(options, module):
    import keras
    import tensorflow as tf

    if options.dtype == "bfloat16":
        keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    inputs, targets = _batch(options)
    layer = getattr(module, _KERAS[options.cell])
    model = keras.Sequential(
        [keras.Input((None, _VOCABULARY))]
        + [
            layer(options.units, return_sequences=True)
            for _ in range(options.layers)
        ]
        + [keras.layers.Dense(_VOCABULARY, dtype="float32")]
    )
    optimizer = keras.optimizers.Adam(2e-3, global_clipnorm=5.0)
    optimizer.build(model.trainable_variables)
    variables = [v.value for v in model.trainable_variables]

    @tf.function
    def step(inputs, targets):
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                targets, logits
            )
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    inputs = tf.one_hot(inputs, _VOCABULARY)
    targets = tf.constant(targets)
    return lambda: step(inputs, targets).numpy()


def _keras(options):
    import keras

    return _sequential(options, keras.layers)


def _layers(options):
    import kerasrnn.layers

    return _sequential(options, kerasrnn.layers)


def _threads(options):
    import kerasrnn.layers

    kerasrnn.layers.configure_threads(options.units, options.dtype)
    return _sequential(options, kerasrnn.layers)


def _charrnn(options):
    prefer_onednn(os.environ)
    import keras
    import tensorflow as tf

    from kerasrnn.config import ModelConfig
    from kerasrnn.layers import configure_threads
    from kerasrnn.model.weights import state_sizes
    from kerasrnn.training.step.flat_weights import initial_weights
    from kerasrnn.training.step.gradients import make_loss_gradient

    config = ModelConfig(
        vocabulary_size=_VOCABULARY,
        cell=options.cell,
        units=options.units,
        num_layers=options.layers,
        dropout=0.0,
        dtype_policy="float32"
        if options.dtype == "float32"
        else "mixed_bfloat16",
    )
    configure_threads(options.units, options.dtype)
    layout, first = initial_weights(config, seed=0)
    weights = keras.Variable(first)
    optimizer = keras.optimizers.Adam(2e-3)
    optimizer.build([weights])
    loss_gradient = make_loss_gradient(config, layout, "auto")
    inputs, targets = (tf.constant(ids) for ids in _batch(options))
    states = [tf.zeros([options.batch, n]) for n in state_sizes(config)]
    key = tf.zeros([3], tf.int64)

    @tf.function
    def step(inputs, targets, states):
        nats, characters, gradient, states = loss_gradient(
            tf.convert_to_tensor(weights.value), inputs, targets, states, key
        )
        gradient = tf.clip_by_norm(gradient / characters, 5.0)
        optimizer.apply([gradient], [weights])
        return nats / characters, states

    return lambda: step(inputs, targets, states)[0].numpy()


def _torch(options):
    import torch

    inputs, targets = (torch.tensor(ids).long() for ids in _batch(options))
    inputs = torch.nn.functional.one_hot(inputs, _VOCABULARY).float()
    recurrent = getattr(torch.nn, _TORCH[options.cell])(
        _VOCABULARY, options.units, options.layers, batch_first=True
    )
    dense = torch.nn.Linear(options.units, _VOCABULARY)
    parameters = [*recurrent.parameters(), *dense.parameters()]
    optimizer = torch.optim.Adam(parameters, 2e-3)
    narrow = options.dtype == "bfloat16"

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            logits = dense(recurrent(inputs)[0])
        loss = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten()
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        return loss.item()

    return step


_SIDES = {
    "keras": _keras,
    "layers": _layers,
    "threads": _threads,
    "charrnn": _charrnn,
    "torch": _torch,
    "product": _product,
}

if __name__ == "__main__":
    define_flags()
    app.run(main)

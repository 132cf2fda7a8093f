"""Times a whole training step against keras.layers and PyTorch.

    python benchmarks/training_benchmark.py --units=128 --batch=50 --length=50
    python benchmarks/training_benchmark.py --units=512 --batch=64 --length=100

A step is forward, backward, clip and Adam on a stack of recurrent layers and
a dense one, as a plain `tf.function`. Each side lives in a process of its own
and they take turns, so that a change of the machine's speed meets all alike:

    keras    keras.layers in a keras.Sequential, one-hot input
    layers   kerasrnn.layers in their place, the same program
    charrnn  CharRNN on ids, with the gradient that kerasrnn-train computes
    torch    torch.nn in the same arrangement (`pip install 'kerasrnn[bench]'`)

The median over the rounds is printed, and the ratio of `layers` and `charrnn`
to each peer with the quartiles of its spread over the rounds.
"""

import os
import subprocess
import sys
import time

import numpy as np
from absl import app
from absl import flags

_VOCABULARY = 65
_TORCH = {"simple_rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
_KERAS = {"simple_rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    flags.DEFINE_enum(
        "cell", "lstm", sorted(_KERAS), "Kind of cell.", flag_values=flag_values
    )
    for name, value, text in (
        ("layers", 2, "Number of recurrent layers."),
        ("units", 128, "Width of each layer."),
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
        ["keras", "layers", "charrnn", "torch"],
        "Which sides take part.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "worker", "", "Internal: be this side.", flag_values=flag_values
    )


def main(argv):
    """Runs the sides in turns, or one of them as a worker."""
    del argv
    options = flags.FLAGS
    if options.worker:
        _work(_SIDES[options.worker](options))
        return
    sides = [side for side in options.sides if _available(side)]
    workers = {side: _start(side) for side in sides}
    for side in sides:
        _turn(workers[side], 2)  # compiles and warms up
    steps = options.steps or max(1, round(0.5 / _turn(workers[sides[0]], 3)))
    seconds = {side: [] for side in sides}
    for _ in range(options.rounds):
        for side in sides:
            seconds[side].append(_turn(workers[side], steps))
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    _report(options, {k: np.array(v) for k, v in seconds.items()})


def _report(options, seconds):
    characters = options.batch * options.length
    print(
        f"{options.layers}x{options.units} {options.cell} "
        f"batch {options.batch} length {options.length} {options.dtype}, "
        f"{options.rounds} rounds"
    )
    for side, values in seconds.items():
        rate = characters / np.median(values)
        print(f"  {side:8s} {rate:10,.0f} characters/s (median)")
    for ours in ("layers", "charrnn"):
        for peer in ("keras", "torch"):
            if ours in seconds and peer in seconds:
                ratios = seconds[peer] / seconds[ours]
                low, middle, high = np.percentile(ratios, [25, 50, 75])
                print(
                    f"  {ours} / {peer}: {middle:.2f} "
                    f"(quartiles {low:.2f} to {high:.2f})"
                )


def _available(side):
    if side != "torch":
        return True
    code = "import torch"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True)
    if found.returncode:
        print("torch is not installed: its side is left out")
    return found.returncode == 0


def _start(side):
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # A thread that waits for the other sides' turns must not spin.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return subprocess.Popen(
        [sys.executable, *sys.argv, f"--worker={side}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    )


def _turn(worker, steps):
    """Lets a worker run some steps; returns its seconds a step."""
    worker.stdin.write(f"{steps}\n")
    worker.stdin.flush()
    answer = worker.stdout.readline()
    if not answer:
        raise SystemExit(f"a side ended early: {' '.join(worker.args)}")
    return float(answer)


def _work(step):
    for line in sys.stdin:
        count = int(line)
        start = time.perf_counter()
        for _ in range(count):
            step()
        print((time.perf_counter() - start) / count, flush=True)


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


def _charrnn(options):
    import keras
    import tensorflow as tf

    from kerasrnn.config import ModelConfig
    from kerasrnn.model import state_sizes
    from kerasrnn.training.gradients import make_loss_gradient
    from kerasrnn.training.weights import initial_weights

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
    "charrnn": _charrnn,
    "torch": _torch,
}

if __name__ == "__main__":
    define_flags()
    app.run(main)

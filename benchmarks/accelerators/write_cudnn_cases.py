"""Writes what cuDNN's loops should give, for any machine with a GPU.

    python -m benchmarks.accelerators.write_cudnn_cases --output=cases.npz

`kerasrnn.recurrence.cudnn` puts the weights into cuDNN's vector. A case holds
that vector, the inputs and the states, and what our own loop makes of them in
float64, gradients included. run_cudnn_cases.py asks cuDNN itself, and needs
no TensorFlow. docs/accelerators.md has the commands and their results.
"""

import itertools

import numpy as np
from absl import app
from absl import flags

# Steps, batch, features and units; and some lengths, in no order.
_SIZES = (
    ((7, 3, 5, 8), (4, 7, 1)),
    ((20, 4, 16, 32), (9, 1, 20, 13)),
    ((50, 8, 65, 64), (50, 3, 50, 49, 2, 17, 30, 31)),
)


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    flags.DEFINE_string(
        "output", "cases.npz", "File to write.", flag_values=flag_values
    )


def main(argv):
    """Writes all cases into one file."""
    del argv
    arrays = {}
    for kind, (sizes, lengths) in itertools.product(("lstm", "gru"), _SIZES):
        for padded in (False, True):
            name = "_".join([kind, *map(str, sizes)])
            name += "_padded" * padded
            case = _case(kind, sizes, lengths if padded else None)
            arrays |= {f"{name}/{key}": case[key] for key in case}
    np.savez_compressed(flags.FLAGS.output, **arrays)
    print(f"{flags.FLAGS.output}: {len(arrays)} arrays")


def _case(kind, sizes, lengths):
    """Arrays by name; `d_` is before what is derived by, or flows back in."""
    import tensorflow as tf

    from kerasrnn.layers.kinds import kind_of
    from kerasrnn.recurrence import cudnn
    from kerasrnn.recurrence.reader import read
    from kerasrnn.recurrence.step import LayerWeights

    steps, batch, features, units = sizes
    step = kind_of(kind).step
    width = units * step.sizes.gates
    random = np.random.default_rng(sizes)

    def normal(*shape, scale=1.0):
        # In float32, which cuDNN gets, and then in float64, which we take.
        values = (random.normal(size=shape) * scale).astype("float32")
        return tf.constant(values, tf.float64)

    states = [normal(batch, units) for _ in range(step.sizes.states)]
    weights = [
        normal(features, width, scale=features**-0.5),
        normal(units, width, scale=units**-0.5),
        normal(width),
        tf.zeros(width, tf.float64) if kind == "lstm" else normal(width),
    ]
    inputs = normal(steps, batch, features)
    upstream = [
        normal(steps, batch, units),
        *(normal(*s.shape) for s in states),
    ]
    mask = None
    if lengths is not None:
        mask = tf.transpose(tf.sequence_mask(lengths, steps))
    with tf.GradientTape() as tape:
        tape.watch([inputs, weights, states])
        outputs, final = read(
            step, inputs, LayerWeights(*weights), states, "float64", mask=mask
        )
    d_inputs, d_weights, d_states = tape.gradient(
        [outputs, *final], [inputs, weights, states], upstream
    )
    case = {
        "inputs": inputs,
        "kernel": weights[0],
        "recurrent_kernel": weights[1],
        "input_bias": weights[2],
        "recurrent_bias": weights[3],
        "states": tf.stack(states),
        "flat": cudnn.parameters(step.cudnn, LayerWeights(*weights)),
        "d_outputs": upstream[0],
        "d_final": tf.stack(upstream[1:]),
    }
    expected = {
        "outputs": outputs,
        "final": tf.stack(final),
        "d_inputs": d_inputs,
        "d_flat": cudnn.parameters(step.cudnn, LayerWeights(*d_weights)),
        "d_states": tf.stack(d_states),
    }
    case = {key: value.numpy().astype("float32") for key, value in case.items()}
    case |= {f"expected_{key}": expected[key].numpy() for key in expected}
    if lengths is not None:
        case["lengths"] = np.array(lengths)
    return case


if __name__ == "__main__":
    define_flags()
    app.run(main)

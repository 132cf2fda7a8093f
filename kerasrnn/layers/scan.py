"""The fast paths over time: one pure function a kind of cell, time-major.

Shapes: T time steps, B batch, U units, G gates (4 for an LSTM, 3 for a GRU).

They are for the standard activations, with a gradient of their own:

* the inputs are projected (`x @ kernel + bias`) for all steps at once,
  before the loop;
* the only product of the backward loop is that with the recurrent kernel,
  which is transposed once, before it;
* the gradient of the recurrent kernel is one product over T * B rows, after
  the loop.

Differentiating such a gradient again is refused with an error.
"""

import tensorflow as tf

from kerasrnn.layers.loops import loop


def simple_rnn_scan(projected, recurrent_kernel, states, mask=None, reset=None):
    """Simple (Elman) network over time: `h = tanh(p + h @ R)`.

    Args:
        projected: Inputs times kernel plus bias [T, B, U].
        recurrent_kernel: R [U, U].
        states: `[h]`, h [B, U].
        mask: Optional bool [T, B]; where False the state is held.
        reset: Optional bool [T, B]; where True the state is zero before the
            step.

    Returns:
        `(h of every step [T, B, U], [last h])`.
    """
    (h,) = states
    hold, keep = _mask_factors(mask, reset, h.dtype)

    @tf.custom_gradient
    def scan(projected, recurrent_kernel, h):
        def forward(slices, states):
            z, h = slices["projected"], states[0]
            h = _times(h, slices.get("keep"))
            new = tf.tanh(_accumulate(z, h, recurrent_kernel))
            return [_hold(slices, new, h)], [_hold(slices, new, h)]

        sequences = _present(projected=projected, hold=hold, keep=keep)
        (outputs,), final = _named_loop(forward, sequences, [h], 1)

        def gradient(d_outputs, d_final):
            transposed = tf.transpose(recurrent_kernel)

            def backward(slices, states):
                d_h = slices["d_outputs"] + states[0]
                d_z = d_h * (1 - tf.square(slices["outputs"]))
                d_z = _where_active(slices, d_z)
                d_previous = _product(d_z, transposed, d_h.dtype)
                d_previous = _add_held(slices, d_previous, d_h)
                return [d_z], [_times(d_previous, slices.get("keep"))]

            sequences = _present(
                d_outputs=d_outputs, outputs=outputs, hold=hold, keep=keep
            )
            (d_z,), (d_h,) = _named_loop(
                backward, sequences, [d_final], 1, reverse=True
            )
            previous = _times(_shifted(h, outputs), keep)
            return once(
                tf.cast(d_z, projected.dtype),
                _kernel_gradient(previous, d_z, recurrent_kernel.dtype),
                d_h,
            )

        return (outputs, final[0]), gradient

    outputs, h = scan(projected, recurrent_kernel, h)
    return outputs, [h]


def lstm_scan(projected, recurrent_kernel, states, mask=None, reset=None):
    """Long short-term memory over time, gates in the order i, f, g, o.

        i, f, o = sigmoid(p + h @ R),  g = tanh(p + h @ R)
        c = f * c + i * g,  h = o * tanh(c)

    Args:
        projected: Inputs times kernel plus bias [T, B, 4U].
        recurrent_kernel: R [U, 4U].
        states: `[h, c]`, each [B, U].
        mask: Optional bool [T, B]; where False the states are held.
        reset: Optional bool [T, B]; where True the states are zero before
            the step.

    Returns:
        `(h of every step [T, B, U], [last h, last c])`.
    """
    h, c = states
    hold, keep = _mask_factors(mask, reset, h.dtype)

    @tf.custom_gradient
    def scan(projected, recurrent_kernel, h, c):
        def forward(slices, states):
            h = _times(states[0], slices.get("keep"))
            c = _times(states[1], slices.get("keep"))
            z = _accumulate(slices["projected"], h, recurrent_kernel)
            i, f, g, o = tf.split(z, 4, axis=-1)
            i, f, o = tf.sigmoid(i), tf.sigmoid(f), tf.sigmoid(o)
            g = tf.tanh(g)
            new_c = f * c + i * g
            squashed = tf.tanh(new_c)
            new_h = _hold(slices, o * squashed, h)
            new_c = _hold(slices, new_c, c)
            return [new_h, new_c, i, f, g, o, squashed], [new_h, new_c]

        sequences = _present(projected=projected, hold=hold, keep=keep)
        (outputs, carries, i, f, g, o, squashed), final = _named_loop(
            forward, sequences, [h, c], 7
        )

        def gradient(d_outputs, d_final_h, d_final_c):
            transposed = tf.transpose(recurrent_kernel)

            def backward(slices, states):
                i, f, g, o = (slices[gate] for gate in "ifgo")
                squashed = slices["squashed"]
                d_h = slices["d_outputs"] + states[0]
                d_c = states[1] + _where_active(
                    slices, d_h * o * (1 - tf.square(squashed))
                )
                d_z = tf.concat(
                    [
                        d_c * g * i * (1 - i),
                        d_c * slices["previous_c"] * f * (1 - f),
                        d_c * i * (1 - tf.square(g)),
                        d_h * squashed * o * (1 - o),
                    ],
                    axis=-1,
                )  # [B, 4U]
                d_z = _where_active(slices, d_z)
                d_previous = _product(d_z, transposed, d_h.dtype)
                d_previous = _add_held(slices, d_previous, d_h)
                d_c = _hold(slices, d_c * f, d_c)
                factor = slices.get("keep")
                return [d_z], [_times(d_previous, factor), _times(d_c, factor)]

            sequences = _present(
                d_outputs=d_outputs,
                previous_c=_times(_shifted(c, carries), keep),
                i=i,
                f=f,
                g=g,
                o=o,
                squashed=squashed,
                hold=hold,
                keep=keep,
            )
            (d_z,), (d_h, d_c) = _named_loop(
                backward, sequences, [d_final_h, d_final_c], 1, reverse=True
            )
            previous_h = _times(_shifted(h, outputs), keep)
            return once(
                tf.cast(d_z, projected.dtype),
                _kernel_gradient(previous_h, d_z, recurrent_kernel.dtype),
                d_h,
                d_c,
            )

        return (outputs, *final), gradient

    outputs, h, c = scan(projected, recurrent_kernel, h, c)
    return outputs, [h, c]


def gru_scan(
    projected,
    recurrent_kernel,
    recurrent_bias,
    states,
    mask=None,
    reset=None,
):
    """Gated recurrent unit over time, gates in the order z, r, g.

        a = h @ R + b
        z, r = sigmoid(p + a),  g = tanh(p_g + r * a_g)
        h = z * h + (1 - z) * g

    This is the variant of cuDNN and Keras' `reset_after=True`, where the
    reset gate acts after the product.

    Args:
        projected: Inputs times kernel plus input bias [T, B, 3U].
        recurrent_kernel: R [U, 3U].
        recurrent_bias: b [3U].
        states: `[h]`, h [B, U].
        mask: Optional bool [T, B]; where False the state is held.
        reset: Optional bool [T, B]; where True the state is zero before the
            step.

    Returns:
        `(h of every step [T, B, U], [last h])`.
    """
    (h,) = states
    hold, keep = _mask_factors(mask, reset, h.dtype)

    @tf.custom_gradient
    def scan(projected, recurrent_kernel, recurrent_bias, h):
        bias = tf.cast(recurrent_bias, h.dtype)

        def forward(slices, states):
            h = _times(states[0], slices.get("keep"))
            p = tf.cast(slices["projected"], h.dtype)
            a = _accumulate(bias, h, recurrent_kernel)
            units = h.shape[-1]
            zr = tf.sigmoid(p[:, : 2 * units] + a[:, : 2 * units])
            z, r = tf.split(zr, 2, axis=-1)
            inner = a[:, 2 * units :]
            g = tf.tanh(p[:, 2 * units :] + r * inner)
            new = _hold(slices, g + z * (h - g), h)
            return [new, z, r, g, inner], [new]

        sequences = _present(projected=projected, hold=hold, keep=keep)
        (outputs, z, r, g, inner), final = _named_loop(
            forward, sequences, [h], 5
        )

        def gradient(d_outputs, d_final):
            transposed = tf.transpose(recurrent_kernel)
            previous = _times(_shifted(h, outputs), keep)

            def backward(slices, states):
                z, r, g = (slices[gate] for gate in "zrg")
                d_h = slices["d_outputs"] + states[0]
                d_g = d_h * (1 - z) * (1 - tf.square(g))
                d_z = d_h * (slices["previous"] - g) * z * (1 - z)
                d_r = d_g * slices["inner"] * r * (1 - r)
                d_a = tf.concat([d_z, d_r, d_g * r], axis=-1)  # [B, 3U]
                d_a, d_g = (_where_active(slices, d) for d in (d_a, d_g))
                d_previous = _hold(slices, d_h * z, d_h)
                d_previous += _product(d_a, transposed, d_h.dtype)
                d_previous = _times(d_previous, slices.get("keep"))
                return [d_a, d_g], [d_previous]

            sequences = _present(
                d_outputs=d_outputs,
                previous=previous,
                z=z,
                r=r,
                g=g,
                inner=inner,
                hold=hold,
                keep=keep,
            )
            (d_a, d_g), (d_initial,) = _named_loop(
                backward, sequences, [d_final], 2, reverse=True
            )
            units = h.shape[-1]
            d_projected = tf.concat([d_a[:, :, : 2 * units], d_g], axis=-1)
            return once(
                tf.cast(d_projected, projected.dtype),
                _kernel_gradient(previous, d_a, recurrent_kernel.dtype),
                tf.cast(tf.reduce_sum(d_a, axis=(0, 1)), recurrent_bias.dtype),
                d_initial,
            )

        return (outputs, final[0]), gradient

    outputs, h = scan(projected, recurrent_kernel, recurrent_bias, h)
    return outputs, [h]


def _named_loop(step, sequences, states, num_outputs, reverse=False):
    names = list(sequences)
    return loop(
        lambda slices, states: step(
            dict(zip(names, slices, strict=True)), states
        ),
        [sequences[name] for name in names],
        states,
        num_outputs=num_outputs,
        reverse=reverse,
    )


def _present(**sequences):
    return {k: v for k, v in sequences.items() if v is not None}


def _mask_factors(mask, reset, dtype):
    """Turns bool [T, B] into factors [T, B, 1]: 1 to hold, 0 to reset."""
    hold = None if mask is None else tf.cast(~mask, dtype)[:, :, None]
    keep = None if reset is None else tf.cast(~reset, dtype)[:, :, None]
    return hold, keep


def _times(value, factor):
    return value if factor is None else value * factor


def _hold(slices, new, old):
    if "hold" not in slices:
        return new
    # A choice, not a sum of products: what is held stays the same to the bit.
    return tf.where(slices["hold"] > 0, old, new)


def _where_active(slices, value):
    """Zero in rows that are held."""
    if "hold" not in slices:
        return value
    return value * (1 - slices["hold"])


def _add_held(slices, d_previous, d_h):
    if "hold" not in slices:
        return d_previous
    return d_previous + d_h * slices["hold"]


def _accumulate(summand, h, kernel):
    """`summand + h @ kernel`, in the states' dtype."""
    return tf.cast(summand, h.dtype) + _product(h, kernel, h.dtype)


def _product(value, kernel, dtype):
    """`value @ kernel` multiplied in the kernel's dtype, as `dtype`."""
    return tf.cast(tf.matmul(tf.cast(value, kernel.dtype), kernel), dtype)


def _kernel_gradient(previous, d_z, dtype):
    """Sum over all steps of `previous^T @ d_z`, as one product."""
    previous = tf.cast(previous, dtype)
    d_z = tf.cast(d_z, dtype)
    return tf.matmul(
        tf.reshape(previous, [-1, previous.shape[-1]]),  # [T * B, U]
        tf.reshape(d_z, [-1, d_z.shape[-1]]),  # [T * B, G * U]
        transpose_a=True,
    )


def _shifted(initial, values):
    """What each step started from: `initial`, then all but the last value."""
    return tf.concat([initial[None], values[:-1]], axis=0)


def once(*gradients):
    """Passes gradients on; differentiating them again raises."""

    @tf.custom_gradient
    def identity(*values):
        def gradient(*_):
            raise NotImplementedError(
                "The fast recurrent loops have no second derivative. "
                "Build the layer with unroll=True to differentiate twice."
            )

        return [tf.identity(value) for value in values], gradient

    return identity(*gradients)

"""The fast paths over time: one pure function a kind of cell, time-major.

Shapes: T time steps, B batch, U units, G gates (4 for an LSTM, 3 for a GRU).

They are for the standard activations, with a gradient of their own:

* the inputs are projected (`x @ kernel + bias`) for all steps at once,
  before the loop;
* the only product of the backward loop is that with the recurrent kernel,
  which is transposed once, before it;
* the gradient of the recurrent kernel is one product over T * B rows, after
  the loop;
* what the forward loop keeps for the backward one are the gates and the
  states, nothing else; and only where a tape is recording. A gradient that
  is asked for later (of a function that was traced without a tape) runs the
  forward loop again.

Such a gradient can be differentiated again: then TensorFlow differentiates
the step's equations, run in the plain loop (`kerasrnn.recurrence.derivatives`).
"""

import functools

import tensorflow as tf
from tensorflow.python.eager import record

from kerasrnn.recurrence import elements
from kerasrnn.recurrence.derivatives import with_gradient
from kerasrnn.recurrence.engine import Engine
from kerasrnn.recurrence.engine import compiled
from kerasrnn.recurrence.loop import differentiable_loop
from kerasrnn.recurrence.loop import loop
from kerasrnn.recurrence.projection import column_sums


def simple_rnn_scan(
    projected, recurrent_kernel, states, mask=None, reset=None, **options
):
    """Simple (Elman) network over time: `h = tanh(p + h @ R)`.

    Args:
        projected: Inputs times kernel plus bias [T, B, U].
        recurrent_kernel: R [U, U].
        states: `[h]`, h [B, U].
        mask: Optional bool [T, B]; where False the state is held.
        reset: Optional bool [T, B]; where True the state is zero before the
            step.
        **options: Those of `lstm_scan`.

    Returns:
        `(h of every step [T, B, U], [last h])`.
    """
    scan = _Scan(elements.SIMPLE_RNN, mask, reset, **options)
    return scan(projected, recurrent_kernel, states)


def lstm_scan(
    projected, recurrent_kernel, states, mask=None, reset=None, **options
):
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
        **options: `engine`, how to run the loop, by default `Engine.PLAIN`;
            `differentiable=False` keeps nothing for a gradient.

    Returns:
        `(h of every step [T, B, U], [last h, last c])`; the first in the
        dtype of `projected`, the others in that of the states.
    """
    scan = _Scan(elements.LSTM, mask, reset, **options)
    return scan(projected, recurrent_kernel, states)


def gru_scan(
    projected,
    recurrent_kernel,
    recurrent_bias,
    states,
    mask=None,
    reset=None,
    **options,
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
        **options: Those of `lstm_scan`.

    Returns:
        `(h of every step [T, B, U], [last h])`.
    """
    scan = _Scan(elements.GRU, mask, reset, **options)
    return scan(projected, recurrent_kernel, states, recurrent_bias)


class _Scan:
    """One call of a scan: the loops, and how they are run."""

    def __init__(
        self, cell, mask, reset, engine=Engine.PLAIN, differentiable=True
    ):
        self._cell = cell
        self._engine = engine
        self._differentiable = differentiable
        self._flags = _present(
            hold=None if mask is None else ~mask[:, :, None],  # [T, B, 1]
            reset=None if reset is None else reset[:, :, None],
        )

    def __call__(self, projected, kernel, states, *biases):
        if self._differentiable:
            run = self._run_differentiable
        else:
            run = self._run_forward
        outputs, *states = run(projected, kernel, list(states), list(biases))
        return outputs, states

    def _run_forward(self, projected, kernel, states, biases):
        outputs, _, final = self._forward(
            projected, kernel, states, biases, keeps=False
        )
        return outputs, *final

    def _run_differentiable(self, projected, kernel, states, biases):
        count = len(states)
        # Seen from here: TensorFlow stops its tapes inside the function.
        keeps = record.could_possibly_record()

        def fast(projected, kernel, *rest):
            states, biases = list(rest[:count]), list(rest[count:])
            forward = functools.partial(
                self._forward, projected, kernel, states, biases
            )
            outputs, residuals, final = forward(keeps)

            def gradient(d_outputs, *d_final):
                kept = residuals if keeps else forward(keeps=True)[1]
                arrays, d_states = self._backward(
                    d_outputs, kept, kernel, d_final
                )
                d_product, d_projected = arrays[0], arrays[-1]
                d_kernel = self._kernel_gradient(
                    states[0], outputs, d_product, kernel.dtype
                )
                d_biases = [
                    tf.cast(column_sums(_flat(d_product)), bias.dtype)
                    for bias in biases
                ]
                return [d_projected, d_kernel, *d_states, *d_biases]

            return [outputs, *final], gradient

        plain = _plain(self._cell, tuple(self._flags), count)
        run = with_gradient(fast, plain, list(self._flags.values()))
        return run(projected, kernel, *states, *biases)

    def _forward(self, projected, kernel, states, biases, keeps):
        run = functools.partial(_forward_loop, self._cell, self._engine, keeps)
        slices = {"projected": projected, **self._flags}
        return self._compiled(run)(slices, kernel, states, biases)

    def _backward(self, d_outputs, residuals, kernel, d_final):
        run = functools.partial(_backward_loop, self._cell, self._engine)
        slices = {"d_outputs": d_outputs, **self._flags}
        return self._compiled(run)(slices, residuals, kernel, list(d_final))

    def _compiled(self, run):
        return _shared(run) if self._engine is Engine.LOOPS else run

    def _kernel_gradient(self, h, outputs, d_product, dtype):
        """Sum over all steps of `previous h^T @ d_product`.

        The first step's h is apart: all others are `outputs` as they are.
        """
        first, others = tf.cast(h, dtype), tf.cast(outputs[:-1], dtype)
        if "reset" in self._flags:
            reset = self._flags["reset"]
            first = tf.where(reset[0], tf.zeros_like(first), first)
            others = tf.where(reset[1:], tf.zeros_like(others), others)
        d_product = tf.cast(d_product, dtype)
        return tf.matmul(first, d_product[0], transpose_a=True) + tf.matmul(
            _flat(others), _flat(d_product[1:]), transpose_a=True
        )


def _forward_loop(cell, engine, keeps, slices, kernel, states, biases):
    """Runs over time.

    Returns:
        `(h of every step [T, B, U], residuals, final states)`; the residuals
        are tensors [T, ...], or arrays where steps alone are compiled: what
        is not stacked need not be copied. Packed, they are one tensor.
    """
    step = functools.partial(_forward_step, cell, keeps)
    step = _shared(step) if engine is Engine.STEPS else step

    def body(slices, states):
        product = _recurrent_product(states[0], kernel)
        (output, *kept), states = step(product, slices, states, biases)
        if kept and engine is Engine.PACKED:
            kept = [tf.concat(kept, axis=-1)]
        return [output, *kept], states

    wide = states[0].dtype
    num_arrays = 1 if engine is Engine.PACKED else cell.num_residuals
    dtypes = [slices["projected"].dtype]
    dtypes += [wide] * (num_arrays if keeps else 0)
    stacked = [True] + [engine is not Engine.STEPS] * (len(dtypes) - 1)
    (outputs, *residuals), states = loop(
        body, slices, states, dtypes=dtypes, stacked=stacked
    )
    return outputs, residuals, states


@functools.cache
def _plain(cell, flags, num_states):
    """The same as a scan by a loop that TensorFlow can differentiate."""

    def plain(constants, projected, kernel, *rest, unroll=False):
        def step(slices, states):
            product = _recurrent_product(states[0], kernel)
            slices = dict(zip(("projected", *flags), slices, strict=True))
            _, states = _forward_step(
                cell, False, product, slices, states, biases
            )
            return states

        states, biases = list(rest[:num_states]), rest[num_states:]
        outputs, states = differentiable_loop(
            step,
            [projected, *constants],
            states,
            projected.dtype,
            unroll=unroll and projected.shape[0] is not None,
        )
        return [outputs, *states]

    return plain


def _recurrent_product(h, kernel):
    return tf.matmul(tf.cast(h, kernel.dtype), kernel)


def _forward_step(cell, keeps, product, slices, states, biases):
    wide = states[0].dtype
    if "reset" in slices:
        product, *states = _zero_where(slices["reset"], product, *states)
    new, residuals = cell.forward(
        tf.cast(product, wide),
        tf.cast(slices["projected"], wide),
        states,
        [tf.cast(bias, wide) for bias in biases],
    )
    if "hold" in slices:
        # A choice, not a sum: what is held stays the same to the bit.
        new = [
            tf.where(slices["hold"], o, n)
            for o, n in zip(states, new, strict=True)
        ]
    output = tf.cast(new[0], slices["projected"].dtype)
    return [output, *residuals] if keeps else [output], new


def _backward_loop(cell, engine, slices, residuals, kernel, d_final):
    """Runs back over time.

    Returns:
        `([d_product], derivatives of the first states)`, or the first as
        `[d_product, d_projected]` where the two differ, each [T, B, G * U]:
        what a compiled function returns twice it copies.
    """
    step = functools.partial(_backward_step, cell)
    step = _shared(step) if engine is Engine.STEPS else step
    transposed = tf.transpose(kernel)
    passes_h = cell.passes_h or "hold" in slices
    d_h, *d_others = d_final
    slices = {**slices, **_named(residuals)}

    def body(slices, states):
        if engine is Engine.PACKED:
            packed = slices.pop("residual_0")
            slices |= _named(tf.split(packed, cell.num_residuals, axis=-1))
        outputs, direct = step(slices, states)
        product = tf.matmul(tf.cast(outputs[0], kernel.dtype), transposed)
        product = tf.cast(product, d_h.dtype)
        if "reset" in slices:
            (product,) = _zero_where(slices["reset"], product)
        return outputs, [product, *direct]

    first = [d_h, *([tf.zeros_like(d_h)] if passes_h else []), *d_others]
    dtype = slices["d_outputs"].dtype
    arrays, (d_h, *others) = loop(
        body,
        slices,
        first,
        dtypes=[dtype] * (1 if cell.projects_alike else 2),
        reverse=True,
    )
    if passes_h:
        d_h += others.pop(0)
    return arrays, [d_h, *others]


def _backward_step(cell, slices, states):
    """One step back, all but the product.

    `states` are the derivatives of the states after the step: what came
    through the product of the step after, what came past it (where there is
    such a way), and those of other states than h.
    """
    hold, reset = slices.get("hold"), slices.get("reset")
    passes_h = cell.passes_h or hold is not None
    residuals = [slices[f"residual_{n}"] for n in range(cell.num_residuals)]
    d_h, *others = states
    d_h += tf.cast(slices["d_outputs"], d_h.dtype)
    if passes_h:
        d_h += others.pop(0)
    d_states = [d_h, *others]
    d_product, d_projected, direct = cell.backward(d_states, residuals)
    direct = [
        tf.zeros_like(d_h) if value is None else value
        for value in (direct if passes_h else direct[1:])
    ]
    outputs = [d_product] if cell.projects_alike else [d_product, d_projected]
    if hold is not None:
        outputs = _zero_where(hold, *outputs)
        direct = [
            tf.where(hold, held, value)
            for held, value in zip(d_states, direct, strict=True)
        ]
    if reset is not None:
        direct = _zero_where(reset, *direct)
    dtype = slices["d_outputs"].dtype
    return [tf.cast(value, dtype) for value in outputs], direct


@functools.cache
def _shared_by(function, arguments):
    return compiled(functools.partial(function, *arguments))


def _shared(run):
    """The compiled form of a partial function, the same at each call."""
    return _shared_by(run.func, run.args)


def _named(residuals):
    return {f"residual_{n}": value for n, value in enumerate(residuals)}


def _present(**values):
    return {k: v for k, v in values.items() if v is not None}


def _zero_where(condition, *values):
    return [tf.where(condition, tf.zeros_like(v), v) for v in values]


def _flat(values):
    """[T, B, D] as [T * B, D]."""
    return tf.reshape(values, [-1, values.shape[-1]])

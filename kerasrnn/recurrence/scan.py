"""The fast loop over time, for any cell: `scan`, with its own gradient.

It is handed what a cell computes at one step, as a `Step`, and the inputs
projected (`x @ kernel + bias`) for all steps at once. What makes it fast:

* the only product of the backward loop is that with the recurrent kernel,
  which is transposed once, before it;
* the gradient of the recurrent kernel is one product over T * B rows, after
  the loop;
* the forward loop keeps what the step's derivative needs, nothing else, and
  only where a tape is recording. A gradient that is asked for later (of a
  function that was traced without a tape) runs the forward loop again.

Such a gradient can be differentiated again: then TensorFlow differentiates
the step itself, run in the plain loop (`kerasrnn.recurrence.derivatives`).

Shapes, time-major: T time steps, B batch, U units, G gates (4 for an LSTM).
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
from tensorflow.python.eager import record

from kerasrnn.recurrence import derivatives
from kerasrnn.recurrence.engine import PLAIN
from kerasrnn.recurrence.engine import Engine
from kerasrnn.recurrence.loop import by_time
from kerasrnn.recurrence.loop import differentiable_loop
from kerasrnn.recurrence.loop import most_iterations
from kerasrnn.recurrence.loop import new_arrays
from kerasrnn.recurrence.loop import slices_at
from kerasrnn.recurrence.loop import stacked
from kerasrnn.recurrence.products import flat
from kerasrnn.recurrence.products import kernel_gradient
from kerasrnn.recurrence.products import multiplication
from kerasrnn.recurrence.products import turned
from kerasrnn.recurrence.products import zero_where
from kerasrnn.recurrence.projection import column_sums
from kerasrnn.recurrence.step import Step
from kerasrnn.recurrence.step import packed


class _Flags(NamedTuple):
    """What happens at a step beside the cell's arithmetic, bool [T, B, 1]."""

    hold: tf.Tensor | None  # where the states stay as they are
    reset: tf.Tensor | None  # where they are zero before the step


class _Biases(NamedTuple):
    """What a step adds to its two products, [G * U]."""

    inputs: tf.Tensor | None  # None as well if it has been added before
    states: tf.Tensor | None


def scan(
    step: Step,
    projected: tf.Tensor,
    kernel: tf.Tensor,
    states: Sequence[tf.Tensor],
    *,
    input_bias: tf.Tensor | None = None,
    bias: tf.Tensor | None = None,
    mask: tf.Tensor | None = None,
    reset: tf.Tensor | None = None,
    engine: Engine = PLAIN,
    differentiable: bool = True,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Runs a cell over time.

    Args:
        step: What the cell computes.
        projected: Inputs times kernel plus bias [T, B, G * U].
        kernel: The recurrent kernel [U, G * U], in the same dtype.
        states: Tensors [B, U], h first; in float32 where products are narrow.
        input_bias: None, or the bias that is not in `projected` yet [G * U].
        bias: None, or what is added to h's product [G * U].
        mask: None, or bool [T, B]; where False the states are held.
        reset: None, or bool [T, B]; where True the states are zero before
            the step.
        engine: How to run the loop.
        differentiable: Whether there is a gradient; without, nothing is kept
            for it.

    Returns:
        `(h of every step [T, B, U], final states)`; the first in the dtype
        of `projected`, the others in that of the states.
    """
    if engine.packs:
        step = packed(step)
    flags = _Flags(
        None if mask is None else ~mask[:, :, None],
        None if reset is None else reset[:, :, None],
    )
    biases = _Biases(input_bias, bias)
    forward = functools.partial(engine.for_loop, _forward, step, engine)
    if not differentiable:
        arguments = (projected, flags, kernel, biases, states)
        outputs, _, states = forward(False)(*arguments)
        return outputs, states

    constants = [flag for flag in flags if flag is not None]
    present = [bias is not None for bias in biases]
    plain = _plain(step, *(flag is not None for flag in flags), *present)
    there = [bias for bias in biases if bias is not None]
    tensors = [projected, kernel, *there, *states]
    if derivatives.in_forward_mode(tensors):
        outputs, *states = plain(constants, *tensors, unroll=True)
        return outputs, states
    # Seen from here: TensorFlow stops its tapes inside the function.
    keeps = record.could_possibly_record()

    @tf.custom_gradient
    def run(*tensors):
        projected, kernel, *rest = derivatives.unwatched(tensors)
        biases, states = _with_biases(present, rest)
        arguments = (projected, flags, kernel, biases, states)
        outputs, kept, final = forward(keeps)(*arguments)

        def gradient(d_outputs, *d_final):
            again = kept if keeps else forward(True)(*arguments)[1]
            backward = engine.for_loop(_backward, step, engine)
            d_sums, d_states = backward(
                d_outputs, flags, again, kernel, list(d_final)
            )
            d_kernel = kernel_gradient(
                states[0], outputs, d_sums[-1], flags.reset, kernel.dtype
            )
            d_biases = [
                tf.cast(column_sums(flat(d_sums[index])), bias.dtype)
                for index, bias in ((0, biases.inputs), (-1, biases.states))
                if bias is not None
            ]
            return [d_sums[0], d_kernel, *d_biases, *d_states]

        values = [outputs, *final]
        return values, derivatives.differentiable(
            gradient, plain, constants, tensors, values
        )

    outputs, *states = run(*tensors)
    return outputs, states


def _forward(step, engine, keeps, projected, flags, kernel, biases, states):
    """Runs over time.

    Returns:
        `(h of every step [T, B, U], kept, final states)`; what is kept are
        tensors [T, ...], or arrays where steps alone are compiled and in
        eager mode: what is not stacked need not be copied.
    """
    multiply = multiplication(engine, kernel)
    advance = engine.for_step(_forward_step, step, engine, keeps)
    num_steps = projected.shape[0] or tf.shape(projected)[0]
    flags, inputs = by_time(flags), by_time(projected)

    def body(time, arrays, states):
        product = multiply(tf.cast(states[0], kernel.dtype))
        values, states = advance(
            product, inputs[time], slices_at(flags, time), biases, states
        )
        arrays = [
            array.write(time, value)
            for array, value in zip(arrays, values, strict=True)
        ]
        return time + 1, arrays, states

    dtypes = [states[0].dtype] * (len(step.kept._fields) if keeps else 0)
    _, (outputs, *kept), states = tf.while_loop(
        lambda time, *_: time < num_steps,
        body,
        (0, new_arrays([projected.dtype, *dtypes], num_steps), list(states)),
        maximum_iterations=most_iterations(num_steps),
    )
    if not (engine.compiles_steps or tf.executing_eagerly()):
        kept = stacked(kept)
    return outputs.stack(), step.kept(*kept) if keeps else None, states


def _forward_step(
    step, engine, keeps, product, projected, flags, biases, states
):
    """One step, all but the product; returns `([h, *kept], states)`."""
    wide, product = states[0].dtype, turned(engine, product)
    if flags.reset is not None:
        product, *states = zero_where(flags.reset, product, *states)
    terms = [tf.cast(projected, wide), tf.cast(product, wide)]
    for index, bias in enumerate(biases):
        if bias is not None:
            terms[index] += tf.cast(bias, wide)
    sums = step.sums(*terms)
    new, kept = step.forward(*sums, *states)
    if flags.hold is not None:
        # A choice, not a sum: what is held stays the same to the bit.
        new = [
            tf.where(flags.hold, o, n) for o, n in zip(states, new, strict=True)
        ]
    output = tf.cast(new[0], projected.dtype)
    return [output, *kept] if keeps else [output], list(new)


@functools.cache
def _plain(step, holds, resets, *present):
    """A scan by the loop that TensorFlow can differentiate.

    Its constants are the flags that there are, its tensors the projected
    inputs, the kernel, those of the biases that are `present`, and the states.
    """

    def plain(constants, projected, kernel, *rest, unroll=False):
        biases, states = _with_biases(present, rest)

        def advance(slices, states):
            flags = _Flags(
                slices[1] if holds else None, slices[-1] if resets else None
            )
            product = tf.matmul(tf.cast(states[0], kernel.dtype), kernel)
            _, states = _forward_step(
                step, PLAIN, False, product, slices[0], flags, biases, states
            )
            return states

        outputs, states = differentiable_loop(
            advance,
            [projected, *constants],
            list(states),
            projected.dtype,
            unroll=unroll and projected.shape[0] is not None,
        )
        return [outputs, *states]

    return plain


def _backward(step, engine, d_outputs, flags, kept, kernel, d_final):
    """Runs back over time.

    Returns:
        `(derivatives with respect to the sums, each [T, B, G * U], and to the
        first states)`.
    """
    retreat = engine.for_step(_backward_step, step, engine)
    num_steps = d_outputs.shape[0] or tf.shape(d_outputs)[0]
    multiply = multiplication(engine, kernel, backward=True)
    d_h, *d_others = d_final
    passes_h = step.passes_h or flags.hold is not None
    flags, kept, d_now = map(by_time, (flags, kept, d_outputs))

    def body(count, arrays, carried):
        time = num_steps - 1 - count
        now = slices_at(flags, time)
        d_sums, past = retreat(d_now[time], now, slices_at(kept, time), carried)
        arrays = [
            array.write(time, value)
            for array, value in zip(arrays, d_sums, strict=True)
        ]
        product = multiply(tf.cast(d_sums[-1], kernel.dtype))
        product = tf.cast(product, d_h.dtype)
        if now.reset is not None:
            (product,) = zero_where(turned(engine, now.reset), product)
        return count + 1, arrays, [product, *past]

    # What comes through h's product, what bypasses it if anything does, and
    # the derivatives with respect to the states other than h.
    through = turned(engine, d_h)
    carried = [through, *([tf.zeros_like(d_h)] if passes_h else []), *d_others]
    _, arrays, (through, *others) = tf.while_loop(
        lambda count, *_: count < num_steps,
        body,
        (
            0,
            new_arrays([d_outputs.dtype] * step.sizes.biases, num_steps),
            carried,
        ),
        maximum_iterations=most_iterations(num_steps),
    )
    d_h = turned(engine, through)
    if passes_h:
        d_h += others.pop(0)
    return stacked(arrays), [d_h, *others]


def _backward_step(step, engine, d_output, flags, kept, carried):
    """One step back, all but the product; returns `(d_sums, d_states)`.

    The latter are without what comes through h's product; see `_backward`
    for what is carried from step to step.
    """
    passes_h = step.passes_h or flags.hold is not None
    through, *others = carried
    d_h = turned(engine, through) + tf.cast(d_output, through.dtype)
    if passes_h:
        d_h += others.pop(0)
    d_states = [d_h, *others]
    d_sums, past = step.backward(kept, *d_states)
    past = [
        tf.zeros_like(d_h) if value is None else value
        for value in (past if passes_h else past[1:])
    ]
    if flags.hold is not None:
        d_sums = zero_where(flags.hold, *d_sums)
        past = [
            tf.where(flags.hold, held, value)
            for held, value in zip(d_states, past, strict=True)
        ]
    if flags.reset is not None:
        past = zero_where(flags.reset, *past)
    return [tf.cast(value, d_output.dtype) for value in d_sums], past


def _with_biases(present, rest):
    """Takes the biases that are present off the front of a list."""
    rest = list(rest)
    return _Biases(*(rest.pop(0) if here else None for here in present)), rest

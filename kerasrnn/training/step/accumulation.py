"""Gradient accumulation: a batch in pieces, one after another.

The batch is cut by streams, not by time, so gradients are truncated where they
were, and memory for activations shrinks by the number of pieces.

Shapes: B streams, A pieces, T sequence length.
"""

from collections.abc import Callable

import tensorflow as tf


def in_pieces(loss_gradient: Callable, pieces: int) -> Callable:
    """Returns a `loss_gradient` that takes the streams in pieces.

    Losses and gradients are sums over streams, so adding up those of the
    pieces gives what all streams at once give, up to rounding.

    Args:
        loss_gradient: What `make_loss_gradient` returns.
        pieces: A; B must be a multiple of it.
    """
    if pieces == 1:
        return loss_gradient

    def accumulated(flat, inputs, targets, states, key, *scale):
        rows = inputs.shape[0] // pieces

        def cut(values):  # [B, ...] -> [A, B / A, ...]
            return tf.reshape(values, [pieces, rows, *values.shape[1:]])

        def join(values):  # [A, B / A, ...] -> [B, ...]
            return tf.reshape(values, [pieces * rows, *values.shape[2:]])

        inputs, targets = cut(inputs), cut(targets)
        starts = [cut(state) for state in states]

        def body(index, nats, characters, gradient, ends):
            # Dropout is a function of the stream, so a piece knows its own.
            first = key[2:] + tf.cast(index, key.dtype) * rows
            more_nats, more_characters, more_gradient, states = loss_gradient(
                flat,
                inputs[index],
                targets[index],
                [state[index] for state in starts],
                tf.concat([key[:2], first], axis=0),
                *scale,
            )
            ends = [
                end.write(index, state)
                for end, state in zip(ends, states, strict=True)
            ]
            return (
                index + 1,
                nats + more_nats,
                characters + more_characters,
                gradient + more_gradient,
                ends,
            )

        ends = [
            tf.TensorArray(state.dtype, pieces, element_shape=state.shape[1:])
            for state in starts
        ]
        zero = tf.zeros([])
        _, nats, characters, gradient, ends = tf.while_loop(
            lambda index, *_: index < pieces,
            body,
            (0, zero, zero, tf.zeros_like(flat), ends),
            parallel_iterations=1,
            maximum_iterations=pieces,
        )
        return nats, characters, gradient, [join(end.stack()) for end in ends]

    return accumulated

"""Errors of single rows, inside the graph.

A server may merge the requests of strangers into one batch. So a bad value
must never raise, for that would fail them all: it puts one sentence into the
row's error, and harmless values take its place before anything is computed.

Errors are string [N]; empty is none.
"""

import tensorflow as tf


def no_errors(rows: tf.Tensor) -> tf.Tensor:
    """Returns the errors of `rows` good rows."""
    return tf.fill([rows], "")


def refuse(
    errors: tf.Tensor, bad: tf.Tensor, sentence: str | tf.Tensor
) -> tf.Tensor:
    """Refuses the rows that are `bad`; a row keeps its first error.

    Args:
        errors: string [N].
        bad: bool [N].
        sentence: Why, a string or string [N].

    Returns:
        string [N].
    """
    return tf.where(bad & (errors == ""), sentence, errors)

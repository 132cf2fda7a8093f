"""Parameters of rows: as many as rows, checked, and harmless where bad.

Glossary of shapes: N rows.
"""

import math
from collections.abc import Mapping

import tensorflow as tf

from kerasrnn.contract import signatures
from kerasrnn_export.graph.row_errors import refuse


def as_rows(first: tf.Tensor, **others: tf.Tensor) -> dict[str, tf.Tensor]:
    """Gives each of `others`, of N rows or one, as many rows as `first`.

    Other numbers of rows are the one mistake that fails a whole call.
    """
    rows = tf.shape(first)[0]
    matched = {}
    for name, values in others.items():
        given = tf.shape(values)[0]
        check = tf.debugging.Assert(
            (given == rows) | (given == 1),
            [f"{name} must have 1 row or as many as the text", given, rows],
        )
        with tf.control_dependencies([check]):
            matched[name] = tf.broadcast_to(values, [rows])
    return matched


def check_parameters(
    errors: tf.Tensor,
    received: Mapping[str, tf.Tensor],
    stop_length: tf.Tensor,
    max_length: int,
) -> tf.Tensor:
    """Refuses the rows whose parameters cannot be used.

    Args:
        errors: string [N], see `row_errors`.
        received: Tensors [N] by the names of `signatures.GENERATE`.
        stop_length: int32 [N], characters of the stop string.
        max_length: Characters that one call generates at most.

    Returns:
        string [N].
    """
    length = received["length"]
    errors = refuse(
        errors,
        (length < 0) | (length > max_length),
        tf.strings.join(
            [
                f"length must be 0 to {max_length}, not ",
                tf.strings.as_string(length),
                ": send calls in a row, each with the state_bytes that "
                "the one before returned.",
            ]
        ),
    )
    temperature = received["temperature"]
    errors = refuse(
        errors,
        ~((temperature >= 0) & (temperature < math.inf)),
        _sentence("temperature must be 0 or more", temperature),
    )
    errors = refuse(
        errors,
        received["top_k"] < 0,
        _sentence("top_k must be 0 (off) or more", received["top_k"]),
    )
    top_p = received["top_p"]
    errors = refuse(
        errors,
        ~((top_p > 0) & (top_p <= 1)),
        _sentence("top_p must be above 0 and at most 1 (off)", top_p),
    )
    return refuse(
        errors,
        stop_length > signatures.MAX_STOP,
        f"stop has more than {signatures.MAX_STOP} characters.",
    )


def right_aligned(ids: tf.Tensor, lengths: tf.Tensor, width: int) -> tf.Tensor:
    """Returns ids [N, P] of `lengths` [N] at the end of rows [N, width]."""
    padded = tf.pad(ids, [[0, 0], [0, width]])[:, :width]
    source = tf.range(width)[None] - (width - lengths)[:, None]
    aligned = tf.gather(padded, tf.maximum(source, 0), batch_dims=1)
    return tf.where(source >= 0, aligned, 0)


def _sentence(expected, received):
    text = tf.strings.as_string(received)
    return tf.strings.join([expected, ", not ", text, "."])

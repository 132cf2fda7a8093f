"""Checks of what users call the model with."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated
from typing import Any

import tensorflow as tf

from kerasrnn.config import ModelConfig
from kerasrnn.errors import UserError
from kerasrnn.foundation.constraints import AMOUNT
from kerasrnn.foundation.constraints import COUNT
from kerasrnn.foundation.constraints import INT64
from kerasrnn.foundation.constraints import SHARE
from kerasrnn.foundation.constraints import check_fields
from kerasrnn.model.weights import state_sizes
from kerasrnn.model.weights import weight_shapes


def check_tokens(tokens: Any) -> None:
    """Checks that these are ids of sequences, as far as is known.

    Raises:
        UserError: They are no integers, or not of shape [B, T].
    """
    rank = tf.TensorShape(tokens.shape).rank
    if rank not in (None, 2):
        advice = "; for a single text, pass tokens[np.newaxis]" * (rank == 1)
        raise UserError(
            "tokens must be ids of shape [batch, time], not of shape "
            f"{tuple(tokens.shape)}{advice}."
        )
    if not tf.as_dtype(tokens.dtype).is_integer:
        raise UserError(
            f"tokens must be ids, integers, not of {tokens.dtype}; "
            "Vocabulary.encode returns them."
        )


def check_states(config: ModelConfig, tokens: Any, states: Sequence) -> None:
    """Checks that states are those of a batch, as far as is known.

    Raises:
        UserError: There are too few or too many, or one is of another shape.
    """
    sizes = state_sizes(config)
    if len(states) != len(sizes):
        raise UserError(
            f"states must be a list of {len(sizes)} tensors [batch, units], "
            f"those that the model returned, not of {len(states)}."
        )
    batch = tf.TensorShape(tokens.shape)[0]
    for index, (state, size) in enumerate(zip(states, sizes, strict=True)):
        shape = tf.TensorShape(state.shape)
        if not shape.is_compatible_with([batch, size]):
            rows = "batch" if batch is None else batch
            raise UserError(
                f"states[{index}] must be of shape [{rows}, {size}], not of "
                f"shape {shape}: tokens and states have the same rows."
            )


def check_weights(config: ModelConfig, weights: Sequence) -> None:
    """Checks that there are as many weights as the model has.

    Raises:
        UserError: There are more or fewer.
    """
    count = len(weight_shapes(config))
    if len(weights) != count:
        raise UserError(
            f"weights must be the {count} of the model, in the order of "
            f"CharRNN.weights, not {len(weights)}."
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingNumbers:
    """The numbers that decide what is generated; see `TextGenerator.stream`.

    Raises:
        UserError: One is out of range, or no such number.
    """

    length: Annotated[int, COUNT]
    temperature: Annotated[float, AMOUNT]
    top_k: Annotated[int, COUNT]
    top_p: Annotated[float, SHARE]
    seed: Annotated[int, INT64]

    def __post_init__(self) -> None:
        check_fields(self)

"""What an export fixes: limits, and the parameters of `serving_default`."""

import dataclasses
from typing import Annotated

from kerasrnn.contract import signatures
from kerasrnn.errors import UserError
from kerasrnn.foundation.constraints import AMOUNT
from kerasrnn.foundation.constraints import COUNT
from kerasrnn.foundation.constraints import INT64
from kerasrnn.foundation.constraints import Range
from kerasrnn.foundation.constraints import check_fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplerOptions:
    """What an export fixes.

    Attributes:
        max_length: Characters that one call generates at most.
        max_prompt: Characters that one call reads at most.
        default_length: Characters that `serving_default` generates.
        default_temperature: Temperature of `serving_default`.
        default_seed: Seed of `serving_default`.
    """

    # Clients rely on the least; 2^24 keeps every sum of lengths exact.
    max_length: Annotated[int, Range(signatures.MAX_LENGTH, 2**24)] = (
        signatures.MAX_LENGTH
    )
    max_prompt: Annotated[int, Range(signatures.MAX_PROMPT, 2**24)] = (
        signatures.MAX_PROMPT
    )
    default_length: Annotated[int, COUNT] = 200
    default_temperature: Annotated[float, AMOUNT] = 1.0
    default_seed: Annotated[int, INT64] = 0

    def __post_init__(self):
        check_fields(self)
        if self.default_length > self.max_length:
            raise UserError(
                f"default_length must be at most {self.max_length}, the "
                f"max_length, not {self.default_length}."
            )

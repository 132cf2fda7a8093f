"""What an export fixes: limits, and the parameters of `serving_default`."""

import dataclasses
import math

from kerasrnn.errors import UserError
from kerasrnn_export import signatures


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

    max_length: int = signatures.MAX_LENGTH
    max_prompt: int = signatures.MAX_PROMPT
    default_length: int = 200
    default_temperature: float = 1.0
    default_seed: int = 0

    def __post_init__(self):
        for name, least in (
            ("max_length", signatures.MAX_LENGTH),
            ("max_prompt", signatures.MAX_PROMPT),
        ):
            # Clients count on these; 2^24 keeps every sum of lengths exact.
            if not least <= getattr(self, name) <= 2**24:
                raise UserError(
                    f"{name} must be {least} to {2**24}, not "
                    f"{getattr(self, name)}: an export may only raise it."
                )
        if not 0 <= self.default_length <= self.max_length:
            raise UserError(
                f"default_length must be 0 to {self.max_length}, not "
                f"{self.default_length}."
            )
        if not 0 <= self.default_temperature < math.inf:
            raise UserError(
                "default_temperature must be 0 or more, not "
                f"{self.default_temperature}."
            )
        if not -(2**63) <= self.default_seed < 2**63:
            raise UserError(
                f"default_seed must fit 64 bits, not {self.default_seed}."
            )

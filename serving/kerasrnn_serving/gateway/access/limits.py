"""How much a caller may ask for: in a minute, and at once."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable
from collections.abc import Iterator
from typing import Annotated

from kerasrnn.foundation.constraints import POSITIVE_COUNT
from kerasrnn.foundation.constraints import check_fields
from kerasrnn_serving.gateway.errors import ApiError
from kerasrnn_serving.gateway.errors import invalid

_MINUTE = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Of one caller; None is no limit.

    Attributes:
        requests_per_minute: Completions requests.
        characters_per_minute: Characters read and generated.
        requests_at_once: Completions requests in progress.
    """

    requests_per_minute: Annotated[int | None, POSITIVE_COUNT] = None
    characters_per_minute: Annotated[int | None, POSITIVE_COUNT] = None
    requests_at_once: Annotated[int | None, POSITIVE_COUNT] = None

    def __post_init__(self):
        check_fields(self)


@dataclasses.dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        name: Of the key, or the address where there are no keys.
        limits: What it may ask for.
    """

    name: str
    limits: Limits


@dataclasses.dataclass
class _Bucket:
    """An allowance that fills up again within a minute."""

    level: float
    filled: float

    def refill(self, size, now):
        gained = (now - self.filled) * size / _MINUTE
        self.level = min(size, self.level + gained)
        self.filled = now

    def seconds_until(self, amount, size):
        return max(amount - self.level, 0) * _MINUTE / size


@dataclasses.dataclass
class _Account:
    """What a caller has used."""

    running: int = 0
    requests: _Bucket | None = None
    characters: _Bucket | None = None


@dataclasses.dataclass
class Admission:
    """One request that was let in.

    Attributes:
        characters: That it has used; set it before the request ends. None
            is all that it asked for.
    """

    characters: int | None = None


class Gate:
    """Lets requests in, or refuses them with 429.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._accounts: dict[str, _Account] = {}

    @property
    def accounts(self) -> int:
        """Callers of whom something is kept."""
        return len(self._accounts)

    @contextlib.contextmanager
    def admit(self, caller: Caller, characters: int) -> Iterator[Admission]:
        """Counts a request for as long as the block lasts.

        Args:
            caller: Whose it is.
            characters: That it may use. What it does not use is given back.

        Raises:
            ApiError: A limit is reached, with the seconds after which to
                try again; or the request is larger than a minute allows.
        """
        account = self._accounts.setdefault(caller.name, _Account())
        try:
            self._charge(account, caller.limits, characters)
            account.running += 1
            admission = Admission()
            try:
                yield admission
            finally:
                account.running -= 1
                used = admission.characters
                if account.characters and used is not None:
                    account.characters.level += characters - used
        finally:
            # Strangers' addresses are without number.
            if not (account.running or account.requests or account.characters):
                self._accounts.pop(caller.name, None)

    def _charge(self, account, limits, characters):
        at_once = limits.requests_at_once
        if at_once is not None and account.running >= at_once:
            raise _refusal(
                f"{account.running} of your requests are in progress, as many "
                "as are allowed",
                1,
            )
        now = self._clock()
        charges = []
        for name, size, amount in (
            ("requests", limits.requests_per_minute, 1),
            ("characters", limits.characters_per_minute, characters),
        ):
            if size is None:
                setattr(account, name, None)
                continue
            if amount > size:
                raise invalid(
                    f"The request may need {amount} {name}, and {size} a "
                    "minute are allowed: lower max_tokens, n or the prompts' "
                    "length, or leave logprobs out.",
                    "max_tokens",
                )
            bucket = getattr(account, name) or _Bucket(size, now)
            setattr(account, name, bucket)
            bucket.refill(size, now)
            seconds = bucket.seconds_until(amount, size)
            if seconds > 0:
                raise _refusal(f"Your {size} {name} a minute are used", seconds)
            charges.append((bucket, amount))
        for bucket, amount in charges:
            bucket.level -= amount


def _refusal(why, seconds):
    seconds = max(math.ceil(seconds), 1)
    return ApiError(
        429,
        f"{why}. Try again in {seconds} s.",
        kind="rate_limit_error",
        code="rate_limit_exceeded",
        headers={"Retry-After": str(seconds)},
    )

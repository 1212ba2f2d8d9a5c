"""Trying again, with patience, what a server could not do just now."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from ..core import ModelError

Result = TypeVar("Result")


class TryAgain(Exception):  # noqa: N818 - a signal between an attempt and `retried`, never shown to a caller
    """An attempt failed in a way that may pass. `after_s` is how long the server asked to wait."""

    def __init__(self, reason: str, *, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently to try again."""

    attempts: int = 4
    """In all, the first one included."""
    first_wait_s: float = 0.5
    """Wait after the first failure; it doubles after every further one."""
    max_wait_s: float = 8.0
    max_retry_after_s: float = 30.0
    """Longest wait that a server's ``Retry-After`` can ask for."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def wait_s(self, failures: int, *, after_s: float | None) -> float:
        """Seconds to wait after so many failures: what the server asked for, or a random part of the back-off.

        The random part keeps many clients of one server from coming back at the same moment; at least half of the
        back-off is kept.
        """
        if after_s is not None:
            return min(after_s, self.max_retry_after_s)
        back_off = min(self.first_wait_s * 2.0 ** (failures - 1), self.max_wait_s)
        return back_off * random.uniform(0.5, 1.0)  # noqa: S311 - no secret hangs on it


async def retried(
    attempt: Callable[[], Awaitable[Result]], *, policy: RetryPolicy, what: str
) -> Result:
    """Returns what the first attempt gives that does not raise `TryAgain`.

    Raises:
        ModelError: every attempt raised `TryAgain`; it names `what` was tried, the last reason and the number of
            attempts. Any other exception of an attempt comes through at once.
    """
    for failures in range(1, policy.attempts + 1):
        try:
            return await attempt()
        except TryAgain as error:
            reason, after_s = error.reason, error.after_s
        if failures < policy.attempts:
            await policy.sleep(policy.wait_s(failures, after_s=after_s))
    times = "once" if policy.attempts == 1 else f"{policy.attempts} times"
    raise ModelError(f"{what}: {reason} (tried {times})", retryable=True)


def retry_after_s(header: str | None, *, now: datetime | None = None) -> float | None:
    """Returns the seconds that a ``Retry-After`` header asks for; it holds seconds or an HTTP date.

    None where there is no header or it cannot be read; 0 where its date has passed.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())

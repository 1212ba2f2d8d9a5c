"""Trying again: how often, how long between, and what is said in the end."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from toolverifier.core import ModelError
from toolverifier.models import RetryPolicy
from toolverifier.models.retry import TryAgain, retried, retry_after_s

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


class Attempts:
    """Fails so often, then returns the number of attempts; notes the waits between them."""

    def __init__(self, failures: int, *, after_s: float | None = None) -> None:
        self.made = 0
        self.waits: list[float] = []
        self._failures = failures
        self._after_s = after_s

    async def __call__(self) -> int:
        self.made += 1
        if self.made <= self._failures:
            raise TryAgain(f"failure {self.made}", after_s=self._after_s)
        return self.made

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


async def test_an_attempt_that_succeeds_is_not_repeated():
    attempts = Attempts(0)
    assert await retried(attempts, policy=RetryPolicy(sleep=attempts.sleep), what="GET x") == 1
    assert (attempts.made, attempts.waits) == (1, [])


async def test_waits_double_and_differ_by_chance():
    attempts = Attempts(5)
    policy = RetryPolicy(attempts=6, first_wait_s=1.0, max_wait_s=6.0, sleep=attempts.sleep)
    assert await retried(attempts, policy=policy, what="GET x") == 6
    for wait, longest in zip(attempts.waits, (1.0, 2.0, 4.0, 6.0, 6.0), strict=True):
        assert longest / 2 <= wait <= longest
    assert len({policy.wait_s(1, after_s=None) for _ in range(20)}) > 1


async def test_the_servers_wish_is_kept_up_to_a_bound():
    attempts = Attempts(2, after_s=7.0)
    await retried(attempts, policy=RetryPolicy(sleep=attempts.sleep), what="GET x")
    assert attempts.waits == [7.0, 7.0]
    assert RetryPolicy().wait_s(1, after_s=3600.0) == 30.0


async def test_after_the_last_attempt_one_error_says_it_all():
    attempts = Attempts(9)
    with pytest.raises(ModelError) as caught:
        await retried(attempts, policy=RetryPolicy(sleep=attempts.sleep), what="GET x")
    assert (str(caught.value), caught.value.retryable) == ("GET x: failure 4 (tried 4 times)", True)
    assert (attempts.made, len(attempts.waits)) == (4, 3)


async def test_another_error_comes_through_at_once():
    async def broken() -> None:
        raise ModelError("for good")

    with pytest.raises(ModelError, match=r"^for good$"):
        await retried(broken, policy=RetryPolicy(), what="GET x")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("5", 5.0),
        (" 120 ", 120.0),
        ("9" * 5000, 999999999.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 12:00:30", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header, seconds):
    assert retry_after_s(header, now=NOW) == seconds

"""Blocking functions beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


async def run_in_thread(function: Callable[[], Result]) -> Result:
    """Returns what the function returns, and raises what it raises, without blocking the event loop.

    It runs in a thread of its own with the caller's context variables. Python cannot stop a thread: when the caller is
    cancelled or out of time, the function goes on and its result is dropped. The threads are daemons, so that a
    function that never returns keeps neither the event loop nor the process from ending, and takes no place that
    another call needs; a thread pool would do both.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()
    context = contextvars.copy_context()

    def deliver(setter: Callable[[Any], None], outcome: Any) -> None:
        if not future.done():
            setter(outcome)

    def work() -> None:
        setter: Callable[[Any], None] = future.set_result
        try:
            outcome: Any = context.run(function)
        except StopIteration as error:  # which a future cannot hold
            setter, outcome = future.set_exception, RuntimeError(f"StopIteration: {error}")
        except BaseException as error:  # handed to the caller, whatever it is
            setter, outcome = future.set_exception, error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, setter, outcome)

    threading.Thread(target=work, name="tool", daemon=True).start()
    return await future

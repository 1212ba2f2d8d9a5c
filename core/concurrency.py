"""Side-by-side work, in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def gather_bounded(
    items: Iterable[Item],
    work: Callable[[Item], Awaitable[Result]],
    *,
    limit: int,
) -> list[Result]:
    """Awaits `work` on every item, at most `limit` at once, and returns the results in the items' order.

    The first exception cancels the rest and is raised as itself, not in a group.
    """
    semaphore = asyncio.Semaphore(limit)

    async def bounded(item: Item) -> Result:
        async with semaphore:
            return await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(bounded(item)) for item in items]
    except BaseExceptionGroup as error:
        raise error.exceptions[0] from None
    return [task.result() for task in tasks]

"""The agent: frozen configuration, and three ways to run it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from ..core import Limits, RunError, ToolVerifierError, Trajectory, UsageError
from ..models import Model
from ..tools import Approve, Tool, Toolset
from ..verification import DEFAULT_WEIGHTS, ArgumentDecider, ToolDecider, Weights
from .events import Event, RunStarted
from .follow_up import ASKING, context_after, parts_to_go_on_with
from .loop import run_loop
from .run import Run


@dataclass(frozen=True)
class Agent:
    """Serves requests with verified tool calls.

    Everything here is configuration; what a run knows lives in the run. So one agent serves any number of concurrent runs.
    """

    model: Model
    _: KW_ONLY
    tools: Toolset | Iterable[Tool | Callable[..., Any]]
    """A toolset, or tools and `@tool` functions to make one of."""
    approve: Approve | None = None
    """Asked before a call of a tool that is not ``read``; with nobody to ask, such calls are refused."""
    execute: bool = True
    """False where the application makes the calls: a run then ends with ``called``."""
    limits: Limits = Limits()
    tool_timeout_s: float = 30.0
    """Seconds for one call of a tool that has no time limit of its own."""
    max_output_chars: int = 20_000
    """Longer tool results are cut, and say so."""
    weights: Weights = DEFAULT_WEIGHTS
    """How much each piece of evidence counts, and when to look again."""
    toolset: Toolset = field(init=False)
    """`tools` as a toolset."""
    tool_decider: ToolDecider = field(init=False)
    argument_decider: ArgumentDecider = field(init=False)

    def __post_init__(self) -> None:
        toolset = self.tools if isinstance(self.tools, Toolset) else Toolset(self.tools)
        object.__setattr__(self, "toolset", toolset)
        object.__setattr__(self, "tool_decider", ToolDecider(self.model, weights=self.weights))
        object.__setattr__(self, "argument_decider", ArgumentDecider(self.model))

    async def run(
        self,
        request: str,
        *,
        after: Trajectory | None = None,
        cancel: asyncio.Event | None = None,
    ) -> Trajectory:
        """Serves one request and returns everything that was done for it.

        Args:
            request: what the user wants, in words.
            after: the run that this one goes on from. Where it ended with a question to the user, `request` is the reply.
            cancel: ends the run when it is set; what had happened is returned with ``cancelled``. (Cancelling the task itself
                raises `asyncio.CancelledError`, as everywhere.)

        Raises:
            UsageError: the request is empty.
            RunError: the model failed for good; carries what had happened until then.
        """
        return await self._run(request, after, cancel, emit=lambda _: None)

    def run_sync(self, request: str, *, after: Trajectory | None = None) -> Trajectory:
        """Does what `run` does, where no event loop runs.

        Raises:
            UsageError: an event loop is running already; await `run` there.
            RunError: as `run`.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.run(request, after=after))
        raise UsageError("run_sync was called inside an event loop: use `await agent.run(...)`")

    async def stream(
        self,
        request: str,
        *,
        after: Trajectory | None = None,
        cancel: asyncio.Event | None = None,
    ) -> AsyncIterator[Event]:
        """Yields what happens as it happens; the last event is `RunFinished`. Leaving the stream cancels the run.

        Raises:
            UsageError: the request is empty.
            RunError: as `run`.
        """
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        task = asyncio.create_task(self._run(request, after, cancel, emit=events.put_nowait))
        task.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            await task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ToolVerifierError):
                await task

    async def _run(
        self,
        request: str,
        after: Trajectory | None,
        cancel: asyncio.Event | None,
        emit: Callable[[Event], None],
    ) -> Trajectory:
        if not request.strip():
            raise UsageError("the request is empty: say what you want")
        run = Run(
            request=request,
            context=context_after(after),
            model=self.model.name,
            limits=self.limits,
            emit=emit,
        )
        parts: tuple[str, ...] = ()
        if after is not None and after.stop_reason in ASKING and after.answer:
            parts = parts_to_go_on_with(after, reply=request)
            run.request = "\n".join(parts) or request
        emit(RunStarted(run_id=run.id, request=run.request))
        loop = asyncio.ensure_future(run_loop(self, run, parts=parts))
        stop = asyncio.ensure_future((cancel or asyncio.Event()).wait())
        try:
            await asyncio.wait(
                {loop, stop}, timeout=self.limits.max_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if loop.done():
                return loop.result()
            loop.cancel()
            await asyncio.wait({loop})  # what is under way goes into the trajectory
            return run.finish("cancelled" if stop.done() else "limit")
        except ToolVerifierError as error:
            raise RunError(str(error), trajectory=run.trajectory("failed")) from error
        finally:
            stop.cancel()
            loop.cancel()
            await asyncio.wait({loop, stop})

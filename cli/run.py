"""`toolverifier run`: one request, with everything that is decided for it in view."""

from __future__ import annotations

import asyncio
import io
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status

from ..agent import Agent, RunFinished
from ..core import Trajectory, UsageError, to_json
from .approval import Approval
from .exits import exit_codes
from .live import LiveView
from .loading import DEFAULT_MODEL, MODEL_HELP, load_with_progress
from .toolsets import TOOLS_HELP, AllowPrivateHosts, AllowPython, load_toolset

_PICTURE_WIDTH = 100
_FAILED = ("rejected", "limit", "cancelled", "failed")


def run(
    request: Annotated[str, typer.Argument(help="What you want, in words.")],
    *,
    tools: Annotated[list[str], typer.Option(help=TOOLS_HELP)],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = DEFAULT_MODEL,
    as_json: Annotated[bool, typer.Option("--json", help="Print the trajectory as JSON.")] = False,
    no_execute: Annotated[
        bool, typer.Option("--no-execute", help="Decide the calls, do not make them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Approve every call.")] = False,
    allow_python: AllowPython = False,
    allow_private_hosts: AllowPrivateHosts = False,
    svg: Annotated[Path | None, typer.Option(help="Keep the view as an SVG file.")] = None,
) -> None:
    """Decide and make the tool calls that a request needs, and answer it."""
    with exit_codes():
        if not request.strip():
            raise UsageError("the request is empty: say what you want")
        if svg and (svg.is_dir() or not svg.parent.is_dir()):
            raise UsageError(f"--svg {str(svg)!r}: a file in a folder that is there is expected")
        toolset = load_toolset(
            tools, allow_python=allow_python, allow_private_hosts=allow_private_hosts
        )
        console = Console(quiet=as_json)
        # A console of its own: it has the same width everywhere, and no spinner gets into the picture.
        picture = Console(file=io.StringIO(), record=True, width=_PICTURE_WIDTH)

        async def serve() -> Trajectory:
            loaded = await load_with_progress(model)
            try:
                status = console.status("thinking")
                approve = Approval(status, yes=yes)
                agent = Agent(loaded, tools=toolset, approve=approve, execute=not no_execute)
                views = [LiveView(console), LiveView(picture)]
                return await run_in_view(agent, request, views=views, status=status)
            finally:
                await loaded.aclose()

        trajectory = asyncio.run(serve())
        if as_json:
            typer.echo(json.dumps(to_json(trajectory), ensure_ascii=False, indent=2))
        if svg:
            picture.save_svg(str(svg), title="toolverifier run")
        if trajectory.stop_reason in _FAILED:
            raise typer.Exit(1)


async def run_in_view(
    agent: Agent, request: str, *, views: Sequence[LiveView], status: Status
) -> Trajectory:
    """Runs the request under the status with every event in every view; Ctrl-C ends the run and shows what had happened."""
    cancel = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, cancel.set)
    try:
        with status:
            async for event in agent.stream(request, cancel=cancel):
                for view in views:
                    view.show(event)
                if isinstance(event, RunFinished):
                    return event.trajectory
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
    raise AssertionError("a stream ends with RunFinished")

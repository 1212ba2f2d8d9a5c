"""`toolverifier run`: one request, with everything that is decided for it in view."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..agent import Agent, RunFinished
from ..core import ToolCall, Trajectory, UsageError, to_json
from ..tools import ToolSpec
from .exits import exit_codes
from .live import LiveView, call_text
from .loading import DEFAULT_MODEL, MODEL_HELP, load_with_progress
from .toolsets import TOOLS_HELP, AllowPrivateHosts, AllowPython, load_toolset

_FAILED = ("rejected", "limit", "cancelled", "failed")


def run(
    request: Annotated[str, typer.Argument(help="What you want, in words.")],
    *,
    tools: Annotated[list[str], typer.Option(help=TOOLS_HELP)],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = DEFAULT_MODEL,
    as_json: Annotated[bool, typer.Option("--json", help="Print the trajectory as JSON.")] = False,
    no_execute: Annotated[bool, typer.Option(help="Decide the calls, do not make them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Approve every call.")] = False,
    allow_python: AllowPython = False,
    allow_private_hosts: AllowPrivateHosts = False,
    svg: Annotated[Path | None, typer.Option(help="Keep the view as an SVG file.")] = None,
) -> None:
    """Decide and make the tool calls that a request needs, and answer it."""
    with exit_codes():
        if not request.strip():
            raise UsageError("the request is empty: say what you want")
        toolset = load_toolset(
            tools, allow_python=allow_python, allow_private_hosts=allow_private_hosts
        )
        console = Console(record=svg is not None, quiet=as_json)

        async def approve(call: ToolCall, spec: ToolSpec) -> bool:
            if yes:
                return True
            if not sys.stdin.isatty():
                return False
            asker = Console(stderr=True)
            asker.print(call_text(call), f"is a {spec.effect} call.")
            return await asyncio.to_thread(typer.confirm, "Make it?", default=False, err=True)

        async def serve() -> Trajectory:
            loaded = await load_with_progress(model)
            try:
                agent = Agent(loaded, tools=toolset, approve=approve, execute=not no_execute)
                return await run_in_view(agent, request, console=console)
            finally:
                await loaded.aclose()

        trajectory = asyncio.run(serve())
        if as_json:
            typer.echo(json.dumps(to_json(trajectory), ensure_ascii=False, indent=2))
        if svg:
            console.save_svg(str(svg), title="toolverifier run")
        if trajectory.stop_reason in _FAILED:
            raise typer.Exit(1)


async def run_in_view(agent: Agent, request: str, *, console: Console) -> Trajectory:
    """Runs the request with every event shown; Ctrl-C ends the run and shows what had happened."""
    cancel = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, cancel.set)
    view = LiveView(console)
    try:
        with console.status("thinking"):
            async for event in agent.stream(request, cancel=cancel):
                view.show(event)
                if isinstance(event, RunFinished):
                    return event.trajectory
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
    raise AssertionError("a stream ends with RunFinished")

"""`toolverifier demo`: real questions to a real model about the project's own folder, each answer checked.

What is true is found out here, by means that have nothing to do with the tools: an answer counts as right when it says so.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from ..agent import Agent
from ..core import StopReason, Trajectory
from ..tools import workspace
from .exits import exit_codes
from .live import LiveView
from .loading import DEFAULT_MODEL, MODEL_HELP, load_with_progress
from .run import run_in_view

FOLDER = Path(__file__).resolve().parent.parent
"""The project's own: the checkout, or the installed package."""


_GROUPED = re.compile(r"(?<![\w.,])\d{1,3}(?:[,\u202f]\d{3})+(?!\d|,\d)")
"""A number with separators between its thousands."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A request, how its run should end, and what its answer must say."""

    request: str
    truths: Callable[[], list[str]] = list
    """Each of these must stand in the answer; called when the answer is there, because time goes on."""
    stop_reason: StopReason = "answered"


def _lines(path: str) -> str:
    return str((FOLDER / path).read_bytes().count(b"\n"))


def _size(path: str) -> str:
    return str((FOLDER / path).stat().st_size)


def _berlin_time(new_york: str) -> str:
    today = datetime.now(ZoneInfo("America/New_York")).date()
    there = datetime.fromisoformat(f"{today}T{new_york}").replace(
        tzinfo=ZoneInfo("America/New_York")
    )
    return f"{there.astimezone(ZoneInfo('Europe/Berlin')):%H:%M}"


QUESTIONS = (
    Question(
        request="How many lines does core/errors.py have?",
        truths=lambda: [_lines("core/errors.py")],
    ),
    Question(
        request="How big is the file core/usage.py, in bytes?",
        truths=lambda: [_size("core/usage.py")],
    ),
    Question(
        request="Which lines in these files contain 'class PrefixCache'?",
        truths=lambda: ["models/prefix_cache.py"],
    ),
    Question(
        request="Where is the file that is called second_look.py?",
        truths=lambda: ["verification/second_look.py"],
    ),
    Question(
        request="What time is it in Tokyo at this moment?",
        truths=lambda: ["now in Asia/Tokyo"],
    ),
    Question(
        request="When it is 09:30 in New York, what time is it in Berlin?",
        truths=lambda: [_berlin_time("09:30")],
    ),
    Question(
        request="How much is 350 kg in pounds?",
        truths=lambda: ["about 771.617917647"],
    ),
    Question(
        request="What is 37 * 48 + 19?",
        truths=lambda: [str(37 * 48 + 19)],
    ),
    Question(
        request="How many lines does agent/loop.py have, and how many lines does agent/plan.py have?",
        truths=lambda: [_lines("agent/loop.py"), _lines("agent/plan.py")],
    ),
    Question(
        request="Find the file second_look.py and tell me how many lines it has.",
        truths=lambda: [_lines("verification/second_look.py")],
    ),
    Question(request="Please book me a table at an Italian restaurant.", stop_reason="no_tool"),
    Question(request="How many lines does it have?", stop_reason="needs_input"),
)


def demo(*, model: Annotated[str, typer.Option(help=MODEL_HELP)] = DEFAULT_MODEL) -> None:
    """Put questions to a model about this project's folder, and check every answer against the truth."""
    with exit_codes():
        wrong = asyncio.run(_demo(model, Console()))
        if wrong:
            raise typer.Exit(1)


async def _demo(model: str, console: Console) -> int:
    """Returns how many answers were wrong."""
    loaded = await load_with_progress(model)
    wrong: list[str] = []
    seconds = 0.0
    try:
        agent = Agent(loaded, tools=workspace(FOLDER))
        for question in QUESTIONS:
            trajectory = await run_in_view(
                agent,
                question.request,
                views=[LiveView(console)],
                status=console.status("thinking"),
            )
            seconds += trajectory.seconds
            missing = missing_truths(question, trajectory)
            if missing:
                wrong.append(question.request)
                console.print(f"[red]WRONG[/red]: {missing}\n", highlight=False)
            else:
                console.print("[green]checked: right[/green]\n")
    finally:
        await loaded.aclose()
    right = len(QUESTIONS) - len(wrong)
    console.print(
        f"{right} of {len(QUESTIONS)} right with {loaded.name}, {seconds / len(QUESTIONS):.1f} s each on average",
        highlight=False,
    )
    return len(wrong)


def missing_truths(question: Question, trajectory: Trajectory) -> str:
    """Returns what is wrong with the run, or nothing."""
    if trajectory.stop_reason != question.stop_reason:
        return f"it ended with {trajectory.stop_reason!r} instead of {question.stop_reason!r}"
    said = _GROUPED.sub(lambda number: re.sub(r"\D", "", number[0]), trajectory.answer or "")
    missing = [truth for truth in question.truths() if not _says(said, truth)]
    return f"the answer does not say {' and '.join(missing)}" if missing else ""


def _says(said: str, truth: str) -> bool:
    """Returns whether a form of the truth stands there by itself, not within a longer number or word."""
    return any(
        re.search(rf"(?<![\w.]){re.escape(form)}(?!\w|\.\d)", said) for form in _forms(truth)
    )


def _forms(truth: str) -> list[str]:
    """Returns the ways of saying a truth: a number may be rounded, a time that is now may have been a minute ago."""
    if truth.startswith("about "):
        number = float(truth.removeprefix("about "))
        return [f"{number:.{digits}f}" for digits in range(1, 10)]
    if not truth.startswith("now in "):
        return [truth]
    now = datetime.now(UTC).astimezone(ZoneInfo(truth.removeprefix("now in ")))
    moments = (now - timedelta(minutes=age) for age in range(2))
    return [form for moment in moments for form in (f"{moment:%H:%M}", f"{moment:%-I:%M}")]

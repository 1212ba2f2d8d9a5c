"""The live view of a run: what was weighed, looked at again, filled in, called and answered."""

from __future__ import annotations

import json
from functools import singledispatchmethod

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..agent import (
    ArgumentsDecided,
    CallFinished,
    CallStarted,
    Event,
    Planned,
    RunFinished,
    RunStarted,
    ToolDecided,
)
from ..core import ArgumentDecision, Candidate, Distribution, ToolCall, Trajectory, Verdict
from .text import plain, visible

_SHOWN_CANDIDATES = 4
_BAR_WIDTH = 12
_MAX_RESULT_LINES = 8

_STOPS = {
    "called": "decided; the call is yours to make",
    "no_tool": "no tool fits",
    "rejected": "stopped: a call was not approved (--yes approves all)",
    "limit": "stopped: a limit was reached",
    "cancelled": "stopped: cancelled",
}


class LiveView:
    """Prints each event of a run in a form that a person reads as it comes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @singledispatchmethod
    def show(self, event: Event) -> None:
        """Prints one event; what another one repeats is not printed."""

    @show.register
    def _(self, event: RunStarted) -> None:
        self._console.print(Text.assemble(("● ", "bold cyan"), (visible(event.request), "bold")))

    @show.register
    def _(self, event: Planned) -> None:
        if len(event.parts) > 1:
            lines = [plain(f"{number}. {part}") for number, part in enumerate(event.parts, start=1)]
            self._print("plan", Group(*lines))

    @show.register
    def _(self, event: ToolDecided) -> None:
        self._print("tool", _candidate_table(event.decision.candidates))
        for verdict in event.decision.verdicts:
            self._print("again", _verdict_text(verdict))
        for reason in event.decision.left_out:
            self._print("left out", plain(reason, "yellow"))

    @show.register
    def _(self, event: ArgumentsDecided) -> None:
        decided = event.decision.decisions
        given = [each for each in decided if each.given or each.name in event.decision.missing]
        if given:
            self._print("arguments", _argument_table(given))

    @show.register
    def _(self, event: CallStarted) -> None:
        self._print("call", call_text(event.call))

    @show.register
    def _(self, event: CallFinished) -> None:
        lines = event.result.content.splitlines() or [""]
        shown = "\n".join(line[:200] for line in lines[:_MAX_RESULT_LINES])
        if len(lines) > _MAX_RESULT_LINES:
            shown += f"\n... {len(lines) - _MAX_RESULT_LINES} more lines"
        self._print("result", plain(shown, "red" if event.result.error else ""))

    @show.register
    def _(self, event: RunFinished) -> None:
        trajectory = event.trajectory
        if trajectory.stop_reason == "called":
            for call in trajectory.calls:
                self._print("call", call_text(call))
        if trajectory.answer is not None:
            asks = trajectory.stop_reason == "needs_input"
            label = "question" if asks else "answer"
            self._print(label, plain(trajectory.answer, "bold yellow" if asks else "bold green"))
        else:
            self._print("", Text(_STOPS[trajectory.stop_reason], "yellow"))
        self._print("", Text(cost_text(trajectory), "dim"))
        self._console.print()

    def _print(self, label: str, content: RenderableType) -> None:
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(width=9, justify="right", style="cyan")
        row.add_column(ratio=1)  # else rich measures a table in it too narrow, and cuts or wraps it
        row.add_row(label, content)
        self._console.print(Padding(row, (0, 0, 0, 1)))


def call_text(call: ToolCall) -> Text:
    """Returns the call as ``name(argument=value, ...)``."""
    arguments = ", ".join(
        f"{_shown(name)[1:-1]}={_shown(value)}" for name, value in call.arguments.items()
    )
    return Text.assemble((visible(call.name), "bold"), visible(f"({arguments})"))


def cost_text(trajectory: Trajectory) -> str:
    """Returns the three token counts and the seconds of a run."""
    usage = trajectory.usage
    return (
        f"{usage.computed_tokens:,} tokens computed, {usage.reused_tokens:,} reused, "
        f"{usage.generated_tokens:,} generated, {trajectory.seconds:.1f} s"
    )


def _candidate_table(candidates: tuple[Candidate, ...]) -> Table:
    pieces = list(dict.fromkeys(piece for each in candidates for piece in each.evidence))
    best = {
        piece: max(each.evidence[piece] for each in candidates if piece in each.evidence)
        for piece in pieces
    }
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("", "", ""):
        table.add_column(heading)
    for piece in pieces:
        table.add_column(piece, justify="right")
    for rank, candidate in enumerate(candidates[:_SHOWN_CANDIDATES]):
        name = plain(candidate.name, "bold green" if rank == 0 else "")
        spoken = [_distance(candidate.evidence.get(piece), best[piece]) for piece in pieces]
        table.add_row(name, _bar(candidate.probability), f"{candidate.probability:.2f}", *spoken)
    if len(candidates) > _SHOWN_CANDIDATES:
        rest = sum(each.probability for each in candidates[_SHOWN_CANDIDATES:])
        count = len(candidates) - _SHOWN_CANDIDATES
        table.add_row(Text(f"{count} others", "dim"), _bar(rest), f"{rest:.2f}")
    return table


def _distance(score: float | None, best: float) -> Text:
    """How many nats a piece of evidence puts a candidate behind the one that it favours."""
    if score is None:
        return Text("")
    return Text("best", "green") if score == best else Text(f"{score - best:.1f}", "dim")


def _bar(probability: float) -> Text:
    eighths = round(probability * _BAR_WIDTH * 8)
    full, part = divmod(eighths, 8)
    bar = "█" * full + (" ▏▎▍▌▋▊▉"[part] if part else "")
    return Text(bar.ljust(_BAR_WIDTH), "blue")


def _verdict_text(verdict: Verdict) -> Text:
    first, second = verdict.candidates
    text = plain(f"{first} or {second}? ({verdict.method}) ")
    if verdict.abstained:
        return text.append(visible(f"abstained: {verdict.abstained}"), "yellow")
    if verdict.question:
        text.append(visible(f"{verdict.question} "), "italic").append(
            visible(f"{verdict.answer}; ")
        )
    before, after = (_probability(each, first) for each in (verdict.before, verdict.after))
    text.append(visible(f"{first} {before:.2f} → {after:.2f}; "))
    if verdict.changed:
        return text.append(visible(f"changed to {verdict.after.best}"), "bold yellow")
    return text.append("kept", "green")


def _probability(distribution: Distribution, option: str) -> float:
    return dict(zip(distribution.options, distribution.probabilities, strict=True))[option]


def _argument_table(decided: list[ArgumentDecision]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for argument in decided:
        others = [each for each in argument.candidates if each.name != _shown(argument.value)][:2]
        value = (
            plain(_shown(argument.value), "bold") if argument.given else Text("?", "bold yellow")
        )
        table.add_row(
            plain(argument.name),
            value,
            f"{_confidence(argument):.2f}",
            plain(f"from {argument.grounds}" if argument.given else "missing", "dim"),
            plain(", ".join(f"{_cut(each.name)} {each.probability:.2f}" for each in others), "dim"),
        )
    return table


def _confidence(argument: ArgumentDecision) -> float:
    name = _shown(argument.value) if argument.given else "not given"
    return next((each.probability for each in argument.candidates if each.name == name), 0.0)


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"

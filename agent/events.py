"""What happens in a run, as it happens: the typed events of `Agent.stream`."""

from __future__ import annotations

from dataclasses import dataclass

from ..core import Step, ToolCall, ToolResult, Trajectory
from ..verification import ArgumentsDecision, ToolDecision


@dataclass(frozen=True, kw_only=True)
class RunStarted:
    """A run has begun."""

    run_id: str
    request: str


@dataclass(frozen=True, kw_only=True)
class Planned:
    """The request was taken apart; one part where it asks for one thing."""

    parts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ToolDecided:
    """A tool, or "none", was chosen for a part of the request, second looks included."""

    part: str
    decision: ToolDecision


@dataclass(frozen=True, kw_only=True)
class ArgumentsDecided:
    """The arguments of the chosen tool were decided."""

    part: str
    tool: str
    decision: ArgumentsDecision


@dataclass(frozen=True, kw_only=True)
class CallStarted:
    """A call goes through the execution pipeline."""

    call: ToolCall


@dataclass(frozen=True, kw_only=True)
class CallFinished:
    """A call has its result."""

    call: ToolCall
    result: ToolResult


@dataclass(frozen=True, kw_only=True)
class StepFinished:
    """A step is in the trajectory."""

    step: Step


@dataclass(frozen=True, kw_only=True)
class RunFinished:
    """The run is over; always the last event."""

    trajectory: Trajectory


Event = (
    RunStarted
    | Planned
    | ToolDecided
    | ArgumentsDecided
    | CallStarted
    | CallFinished
    | StepFinished
    | RunFinished
)
"""Anything that `Agent.stream` yields."""

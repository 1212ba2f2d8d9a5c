"""The record of a run: every step, every call, every result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .decisions import ArgumentDecision, Candidate, Verdict
from .messages import ToolCall, ToolResult
from .usage import Usage

StopReason = Literal[
    "answered", "called", "no_tool", "needs_input", "rejected", "limit", "cancelled", "failed"
]
"""Why a run ended. ``called``: the caller runs the calls. ``needs_input``: the answer is a question to the user.
``rejected``: a call was not approved. ``failed``: no call went well, or the model failed (then a `RunError` carries the
trajectory)."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One decided call: what was weighed, what was looked at again, what was called, what came back."""

    request: str
    """The part of the user's request that this step serves."""
    candidates: tuple[Candidate, ...]
    """Every tool that was weighed and ``none``, most probable first."""
    verdicts: tuple[Verdict, ...] = ()
    arguments: tuple[ArgumentDecision, ...] = ()
    call: ToolCall | None = None
    """None where no tool fits or something is missing."""
    result: ToolResult | None = None
    """None where the caller makes the call, or where the run was stopped before there was one."""
    discarded: str | None = None
    """Why the decided call was not made after all."""
    left_out: tuple[str, ...] = ()
    """Evidence that could not be had, each with the reason; it did not count."""
    usage: Usage = Usage()
    seconds: float = 0.0

    @property
    def confidence(self) -> float:
        """Probability of the chosen tool, or of "none", 0 to 1."""
        return self.candidates[0].probability


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """Everything that a run did."""

    id: str
    request: str
    context: str = ""
    """What was known from earlier runs."""
    model: str
    steps: tuple[Step, ...] = ()
    answer: str | None = None
    """The agent's answer; for ``needs_input``, the question to the user."""
    stop_reason: StopReason
    prompts: dict[str, str]
    """Hash of each prompt template that was in force, by its name."""
    usage: Usage = Usage()
    seconds: float = 0.0

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The calls that were made, or are the caller's to make, in order."""
        return tuple(step.call for step in self.steps if step.call and not step.discarded)

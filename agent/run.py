"""What one run knows. An agent is frozen; everything that happens lives here."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..core import Limits, Step, StopReason, ToolCall, ToolResult, Trajectory, Usage
from ..verification import TEMPLATES as DECISION_TEMPLATES
from ..verification import template_hash
from .events import Event, RunFinished, StepFinished
from .prompts import TEMPLATES as LOOP_TEMPLATES

PROMPT_HASHES = {
    name: template_hash(template)
    for name, template in (DECISION_TEMPLATES | LOOP_TEMPLATES).items()
}


@dataclass(kw_only=True)
class Run:
    """The state of one run."""

    request: str
    context: str
    """What is known from earlier runs."""
    model: str
    limits: Limits
    emit: Callable[[Event], None]
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    steps: list[Step] = field(default_factory=list)
    usage: Usage = Usage()
    """Of everything, the planning and the answer included."""
    started: float = field(default_factory=time.perf_counter)
    calls_made: int = 0

    def new_call_id(self) -> str:
        """Returns an id that no other call of this run has."""
        self.calls_made += 1
        return f"{self.id}-{self.calls_made}"

    def record(self, steps: Iterable[Step]) -> None:
        """Puts finished steps into the trajectory. Their cost was counted when it was made."""
        for step in steps:
            self.steps.append(step)
            self.emit(StepFinished(step=step))

    @property
    def results(self) -> list[tuple[ToolCall, ToolResult]]:
        """Executed calls with their results, in order."""
        return [
            (step.call, step.result)
            for step in self.steps
            if step.call is not None and step.result is not None
        ]

    def room(self) -> int:
        """Returns how many further steps may begin now."""
        spent = self.usage.computed_tokens + self.usage.generated_tokens
        if self.limits.max_tokens is not None and spent >= self.limits.max_tokens:
            return 0
        steps = self.limits.max_steps - len(self.steps)
        return max(0, min(steps, self.limits.max_tool_calls - self.calls_made))

    def trajectory(self, stop_reason: StopReason, answer: str | None = None) -> Trajectory:
        """Returns the record of all that happened until now."""
        return Trajectory(
            id=self.id,
            request=self.request,
            context=self.context,
            model=self.model,
            steps=tuple(self.steps),
            answer=answer,
            stop_reason=stop_reason,
            prompts=PROMPT_HASHES,
            usage=self.usage,
            seconds=time.perf_counter() - self.started,
        )

    def finish(self, stop_reason: StopReason, answer: str | None = None) -> Trajectory:
        """Returns the record of the whole run and tells that it is over."""
        trajectory = self.trajectory(stop_reason, answer)
        self.emit(RunFinished(trajectory=trajectory))
        return trajectory

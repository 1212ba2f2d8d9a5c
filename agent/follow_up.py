"""What a run takes over from the one that it goes on from."""

from __future__ import annotations

from ..core import StopReason, Trajectory
from ..verification import NONE
from .prompts import render_results

ASKING: tuple[StopReason, ...] = ("needs_input", "called")
"""How a run may end that has asked the user something."""
_MAX_RESULT_CHARS = 2000
"""Of each earlier result, in what the model reads."""


def context_after(after: Trajectory | None) -> str:
    """Returns what the earlier run leaves as known: its own context, request, results and answer."""
    if after is None:
        return ""
    calls = [(step.call, step.result) for step in after.steps if step.call and step.result]
    results = render_results(calls, max_chars=_MAX_RESULT_CHARS)
    known = [after.context, results]
    if after.stop_reason not in ASKING:  # a question stands in the parts that it was asked for
        known.insert(1, f"Earlier request: {after.request}")
        known.append(f"Earlier answer: {after.answer or 'none'}")
    return "\n".join(filter(None, known))


def parts_to_go_on_with(after: Trajectory, *, reply: str) -> tuple[str, ...]:
    """Returns the parts that lacked something when the earlier run asked, each with the question and the reply.

    Parts whose calls were made are not among them: nothing is called twice.
    """
    steps = [step for step in after.steps if not step.discarded]
    called = {step.request for step in steps if step.call}
    lacking = [
        step.request
        for step in steps
        if step.request not in called and step.candidates[0].name != NONE
    ]
    return tuple(f"{part}\n{after.answer}\n{reply}" for part in dict.fromkeys(lacking))

"""The loop: decide the tool, decide its arguments, call, record, until an answer or a stop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..core import Step, ToolCall, Trajectory, gather_bounded
from ..models import GenerateConfig
from ..tools import check, execute
from .events import ArgumentsDecided, CallFinished, CallStarted, Planned, ToolDecided
from .plan import split_request
from .prompts import answer_prompt, render_results

if TYPE_CHECKING:
    from .agent import Agent
    from .run import Run

_MAX_SIDE_BY_SIDE = 8
_MAX_ATTEMPTS = 2
"""Decisions for one part, the first included: what a failure says is often what was missing."""
_MAX_RESULT_CHARS = 4000
"""Of each result, in what the model reads."""
_ANSWER = GenerateConfig(max_tokens=256)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the request that waits for its call."""

    text: str
    context: str
    """What is known from before the run and from other parts."""
    attempt: int = 1
    failed: tuple[dict[str, Any], ...] = ()
    """Arguments of its calls that failed."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a part: its step, and what a call lacks."""

    part: Part
    step: Step
    missing: tuple[str, ...] = ()
    """Required arguments that nothing gives."""


async def run_loop(agent: Agent, run: Run, *, parts: tuple[str, ...]) -> Trajectory:
    """Serves the request part by part; parts that do not wait for each other go side by side.

    Where no `parts` are given, the request is taken apart first.
    """
    texts = parts or await plan(agent, run)
    run.emit(Planned(parts=texts))
    waiting = [Part(text=text, context=run.context) for text in texts]
    stuck: list[Outcome] = []
    while waiting:
        room = run.room()
        if not room:
            return run.finish("limit")
        wave, waiting = waiting[:room], waiting[room:]
        outcomes = await gather_bounded(
            wave, lambda part: decide(agent, run, part), limit=_MAX_SIDE_BY_SIDE
        )
        if not run.steps and len(texts) > 1 and any(map(_found_no_tool, outcomes)):
            # What was taken apart may be one task after all, so it is looked at as a whole and nothing is called.
            reason = "the request was looked at as a whole instead"
            run.record(replace(outcome.step, discarded=reason) for outcome in outcomes)
            waiting = [Part(text=run.request, context=run.context)]
            continue
        outcomes = await call_all(agent, run, outcomes)
        if any(_was_rejected(outcome) for outcome in outcomes):
            return run.finish("rejected")
        lacking = [outcome for outcome in outcomes if outcome.missing]
        if any(map(_is_the_callers, outcomes)):
            return run.finish("called", ask(agent, lacking) if lacking else None)
        if lacking and not any(outcome.step.result for outcome in outcomes):
            return run.finish("needs_input", ask(agent, lacking))
        again = [outcome for outcome in outcomes if _may_go_on(agent, outcome)]
        stuck += [outcome for outcome in lacking if outcome not in again]
        waiting = [next_attempt(run, outcome) for outcome in again] + waiting
    if stuck:
        return run.finish("needs_input", ask(agent, stuck))
    if not run.results:
        return run.finish("no_tool")
    succeeded = any(result.error is None for _, result in run.results)
    return run.finish("answered" if succeeded else "failed", await answer(agent, run))


async def plan(agent: Agent, run: Run) -> tuple[str, ...]:
    """Returns the parts of the run's request."""
    texts, usage = await split_request(run.request, model=agent.model)
    run.usage += usage
    return texts


async def decide(agent: Agent, run: Run, part: Part) -> Outcome:
    """Decides the tool and then its arguments."""
    started = time.perf_counter()
    chosen = await agent.tool_decider.decide(part.text, agent.toolset.specs)
    run.usage += chosen.usage
    run.emit(ToolDecided(part=part.text, decision=chosen))
    step = Step(
        request=part.text,
        candidates=chosen.candidates,
        verdicts=chosen.verdicts,
        left_out=chosen.left_out,
        usage=chosen.usage,
    )
    tool = agent.toolset.get(chosen.tool) if chosen.tool else None
    if tool is None:
        return Outcome(part=part, step=replace(step, seconds=time.perf_counter() - started))
    filled = await agent.argument_decider.decide(
        part.text, tool.spec, context=part.context, failed=part.failed
    )
    run.usage += filled.usage
    run.emit(ArgumentsDecided(part=part.text, tool=tool.spec.name, decision=filled))
    best, *others = step.candidates
    step = replace(
        step,
        candidates=(replace(best, arguments=filled.arguments), *others),
        arguments=filled.decisions,
        left_out=(*step.left_out, *filled.left_out),
        usage=step.usage + filled.usage,
        seconds=time.perf_counter() - started,
    )
    if not filled.missing and filled.arguments not in part.failed:
        name, arguments = tool.spec.name, filled.arguments
        step = replace(step, call=ToolCall(id=run.new_call_id(), name=name, arguments=arguments))
    return Outcome(part=part, step=step, missing=filled.missing)


async def call_all(agent: Agent, run: Run, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Makes the decided calls and records their steps; also of a run that is stopped meanwhile.

    Calls that only read go side by side. Where one of them changes something, they go one after the other in the order of
    the request, and after a failure the rest is not made.
    """
    made = list(outcomes)

    async def make(place: int) -> None:
        made[place] = await call(agent, run, outcomes[place])

    one_by_one = any(not _only_reads(agent, outcome) for outcome in outcomes)
    try:
        if not one_by_one:
            await gather_bounded(range(len(made)), make, limit=_MAX_SIDE_BY_SIDE)
        for place in range(len(made) if one_by_one else 0):
            await make(place)
            result = made[place].step.result
            if result and result.error:
                made[place + 1 :] = map(_discarded, outcomes[place + 1 :])
                break
    finally:
        run.record(outcome.step for outcome in made)
    return made


async def call(agent: Agent, run: Run, outcome: Outcome) -> Outcome:
    """Makes the decided call, where there is one and the agent is the one to make it."""
    made = outcome.step.call
    tool = agent.toolset.get(made.name) if made else None
    if made is None or tool is None:
        return outcome
    if tool.run is None or not agent.execute:
        return replace(outcome, step=replace(outcome.step, result=check(agent.toolset, made)))
    started = time.perf_counter()
    run.emit(CallStarted(call=made))
    result = await execute(
        agent.toolset,
        made,
        approve=agent.approve,
        timeout_s=agent.tool_timeout_s,
        max_output_chars=agent.max_output_chars,
    )
    run.emit(CallFinished(call=made, result=result))
    seconds = outcome.step.seconds + time.perf_counter() - started
    return replace(outcome, step=replace(outcome.step, result=result, seconds=seconds))


def next_attempt(run: Run, outcome: Outcome) -> Part:
    """Returns the part for another decision, with all that is known by now."""
    part, made = outcome.part, outcome.step.call
    failed = (*part.failed, made.arguments) if made else part.failed
    return replace(part, context=what_is_known(run), attempt=part.attempt + 1, failed=failed)


def ask(agent: Agent, lacking: Sequence[Outcome]) -> str:
    """Returns one question to the user for everything that is missing."""
    lines = []
    for outcome in lacking:
        tool = agent.toolset.get(outcome.step.candidates[0].name)
        assert tool is not None
        for name in outcome.missing:
            description = tool.spec.properties[name].get("description", "")
            lines.append(f"{name} ({description.rstrip('.')})" if description else name)
    return f"Please tell me: {'; '.join(dict.fromkeys(lines))}."


async def answer(agent: Agent, run: Run) -> str:
    """Returns the answer to the request from all that is known."""
    prompt = answer_prompt(run.request, what_is_known(run))
    output = await agent.model.generate(prompt, config=_ANSWER)
    run.usage += output.usage
    return output.text.strip()


def what_is_known(run: Run) -> str:
    """Returns what earlier runs and this one found out, for the model to read."""
    results = render_results(run.results, max_chars=_MAX_RESULT_CHARS)
    return "\n".join(filter(None, [run.context, results]))


def _found_no_tool(outcome: Outcome) -> bool:
    return outcome.step.call is None and not outcome.missing


def _was_rejected(outcome: Outcome) -> bool:
    return outcome.step.result is not None and outcome.step.result.error == "rejected"


def _is_the_callers(outcome: Outcome) -> bool:
    step = outcome.step
    return step.call is not None and step.result is None and step.discarded is None


def _only_reads(agent: Agent, outcome: Outcome) -> bool:
    tool = agent.toolset.get(outcome.step.call.name) if outcome.step.call else None
    return tool is None or tool.spec.effect == "read"


def _discarded(outcome: Outcome) -> Outcome:
    if outcome.step.call is None:
        return outcome
    reason = "a call before it failed"
    return replace(outcome, step=replace(outcome.step, discarded=reason))


def _may_go_on(agent: Agent, outcome: Outcome) -> bool:
    """Whether the part gets another decision: it lacked something, or its call failed without having changed anything."""
    if outcome.part.attempt >= _MAX_ATTEMPTS:
        return False
    if outcome.missing:
        return True
    result = outcome.step.result
    if result is None or result.error is None:
        return False
    return result.error == "invalid_arguments" or _only_reads(agent, outcome)

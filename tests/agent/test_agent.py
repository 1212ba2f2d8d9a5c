"""An agent decides, calls, records and answers; whatever happens, the trajectory tells it."""

import asyncio
import json

import pytest

from toolverifier import Agent, Limits, ToolError, tool
from toolverifier.agent import (
    ArgumentsDecided,
    CallFinished,
    CallStarted,
    Planned,
    RunFinished,
    RunStarted,
    StepFinished,
    ToolDecided,
)
from toolverifier.core import ModelError, RunError, UsageError, from_json, to_json
from toolverifier.core import Trajectory as TrajectoryRecord
from toolverifier.models import FunctionModel, ScoreItem
from toolverifier.tools import Toolset
from toolverifier.verification import DEFAULT_WEIGHTS


@tool(effect="read")
def add(a: int, b: int) -> int:
    """Adds two numbers.

    Args:
        a: The first number.
        b: The second number.
    """
    return a + b


@tool(effect="read")
def shout(text: str) -> str:
    """Writes a text in capital letters.

    Args:
        text: What to shout.
    """
    if text == "fail":
        raise ToolError("cannot shout that; shout 'please' instead")
    return text.upper()


@tool(effect="destructive")
def erase(name: str) -> str:
    """Erases a file for good.

    Args:
        name: The file's name.
    """
    return f"erased {name}"


TOOLS = (add, shout, erase)
WORDS = {"add": ("add", "plus"), "shout": ("shout",), "erase": ("erase",)}


def asked_argument(prompt) -> tuple[str, str]:
    """Returns the request and the argument whose value is asked for."""
    request, argument = prompt[-1].content.split("Request: ")[1].split("\n\nValue of ")
    return request, argument.rstrip(":")


def score(item: ScoreItem) -> float:
    """Scores as a sensible model would: a tool by its word in the request, a value by the order of the request's."""
    system, user = item.prompt[0].content, item.prompt[1].content
    if system == "You write user requests.":
        name = user.split("\n")[0].removeprefix("Tool: ")
        words = WORDS.get(name)
        if words is None:
            return -20.0
        return -5.0 if any(word in item.continuation for word in words) else -50.0
    if "fill in the arguments" in system:
        value = item.continuation
        user, argument = asked_argument(item.prompt)
        if not user:
            return -12.0
        if value == "null":
            return -5.0
        wanted = {"b": -1}.get(argument, 0)
        spans = [word.strip('"') for word in user.split() if word.strip('"').isdigit()]
        if argument in ("a", "b"):
            return -0.1 if spans and value == spans[wanted] else -9.0
        if "please" in user and "failed" in user:
            return -1.0 if value == '"please"' else -9.0
        return -1.0 if value.strip('"') in ("fail", "hello", "a.txt") else -9.0
    return -10.0


def generate(prompt, shape, config) -> str:
    system = prompt[0].content
    if system.startswith("You take a request apart"):
        return json.dumps(prompt[-1].content.rstrip(".").split(" and "))
    if system.startswith("You answer"):
        return "The results are " + "; ".join(prompt[1].content.split("Results:\n")[1].split("\n"))
    request, _ = asked_argument(prompt)
    said = request.split("\n\nWhat is known so far:")[0]
    words = said.split("\n")[-1].split()
    failed = "failed: cannot shout" in request
    return json.dumps("please" if failed else words[-1] if len(words) > 1 else None)


def agent(**changes) -> Agent:
    values = {"tools": TOOLS}
    return Agent(FunctionModel(generate, score=score), **(values | changes))


async def test_a_request_is_decided_called_and_answered():
    trajectory = await agent().run("add 2 to 3")

    (step,) = trajectory.steps
    assert trajectory.stop_reason == "answered"
    assert trajectory.answer == "The results are add(a=2, b=3): 5"
    assert (step.call.name, step.call.arguments, step.result.content) == (
        "add",
        {"a": 2, "b": 3},
        "5",
    )
    assert step.candidates[0].arguments == {"a": 2, "b": 3}
    assert trajectory.model == "function"
    assert trajectory.usage.computed_tokens > step.usage.computed_tokens > 0
    assert set(trajectory.prompts) >= {"channel", "direct", "arguments", "answer"}
    assert from_json(TrajectoryRecord, to_json(trajectory)) == trajectory


async def test_parts_of_a_request_are_served_side_by_side_in_one_wave():
    running = 0
    most = 0

    @tool(effect="read", name="shout")
    async def slow_shout(text: str) -> str:
        """Writes a text in capital letters.

        Args:
            text: What to shout.
        """
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return text.upper()

    trajectory = await agent(tools=(add, slow_shout)).run('shout "hello" and shout "fail"')

    assert [step.result.content for step in trajectory.steps] == ["HELLO", "FAIL"]
    assert most == 2
    assert len({call.id for call in trajectory.calls}) == 2


async def test_a_request_that_was_taken_apart_wrongly_is_looked_at_as_a_whole():
    trajectory = await agent().run("add 2 and the 3")

    assert [step.request for step in trajectory.steps] == ["add 2", "the 3", "add 2 and the 3"]
    assert trajectory.steps[-1].call.arguments == {"a": 2, "b": 3}
    assert len(trajectory.calls) == 1


async def test_no_tool_is_a_stop_and_no_answer():
    trajectory = await agent().run("what is love?")

    assert (trajectory.stop_reason, trajectory.answer, trajectory.calls) == ("no_tool", None, ())
    assert trajectory.steps[0].candidates[0].name == "none"


async def test_what_is_missing_is_asked_for_and_the_reply_goes_on():
    question = await agent().run("add something")
    answered = await agent().run("2 to 3", after=question)

    assert question.stop_reason == "needs_input"
    assert question.answer == "Please tell me: a (The first number); b (The second number)."
    assert question.steps[0].call is None
    assert answered.calls[0].arguments == {"a": 2, "b": 3}


async def test_what_was_called_before_a_question_is_not_called_again():
    question = await agent().run("add 2 to 3 and shout")
    answered = await agent().run("shout hello", after=question)

    assert [call.name for call in question.calls] == ["add"]
    assert [call.name for call in answered.calls] == ["shout"]
    assert "add(a=2, b=3): 5" in answered.context
    assert "add(a=2, b=3): 5" in answered.answer


async def test_a_run_in_which_no_call_went_well_has_failed():
    @tool(effect="read", name="shout")
    def broken(text: str) -> str:
        """Writes a text in capital letters.

        Args:
            text: What to shout.
        """
        raise ToolError("no voice")

    trajectory = await agent(tools=(broken,)).run("shout hello")

    assert trajectory.stop_reason == "failed"
    assert "no voice" in trajectory.answer


async def test_a_run_after_an_answered_one_knows_what_was_said():
    first = await agent().run("add 2 to 3")
    second = await agent().run("shout hello", after=first)

    assert second.request == "shout hello"
    assert second.calls[0].arguments == {"text": "hello"}


async def test_a_failed_reading_call_is_decided_again_with_what_the_failure_says():
    trajectory = await agent().run("shout fail")

    assert [call.arguments for call in trajectory.calls] == [{"text": "fail"}, {"text": "please"}]
    assert [step.result.error for step in trajectory.steps] == ["execution", None]
    assert trajectory.stop_reason == "answered"


async def test_a_part_that_lacks_something_waits_for_the_other_results():
    trajectory = await agent().run("add 2 to 3 and shout")

    assert [step.call is None for step in trajectory.steps] == [False, True, True]
    assert trajectory.stop_reason == "needs_input"


async def test_without_anybody_to_ask_a_destructive_call_is_refused():
    trajectory = await agent().run("erase a.txt")

    assert trajectory.stop_reason == "rejected"
    assert trajectory.steps[0].result.error == "rejected"
    assert trajectory.answer is None


async def test_an_approved_call_is_made():
    asked = []

    async def approve(call, spec) -> bool:
        asked.append((call.name, call.arguments, spec.effect))
        return True

    trajectory = await agent(approve=approve).run("erase a.txt")

    assert asked == [("erase", {"name": "a.txt"}, "destructive")]
    assert trajectory.steps[0].result.content == "erased a.txt"


async def test_a_failed_call_that_changes_something_is_not_tried_again():
    @tool(effect="write", name="shout")
    def shout_once(text: str) -> str:
        """Writes a text in capital letters.

        Args:
            text: What to shout.
        """
        raise ToolError("no voice")

    async def approve(call, spec) -> bool:
        return True

    trajectory = await agent(tools=(shout_once,), approve=approve).run("shout hello")

    assert len(trajectory.calls) == 1
    assert trajectory.stop_reason == "failed"


async def test_calls_are_left_to_the_caller_where_it_wants_that():
    trajectory = await agent(execute=False).run("add 2 to 3")

    assert trajectory.stop_reason == "called"
    assert trajectory.calls[0].arguments == {"a": 2, "b": 3}
    assert trajectory.steps[0].result is None


async def test_a_tool_without_a_binding_leaves_its_call_to_the_caller():
    toolset = Toolset.from_json(
        [{"name": "shout", "description": "Shouts.", "parameters": shout.spec.parameters}]
    )
    trajectory = await agent(tools=toolset).run("shout hello")

    assert trajectory.stop_reason == "called"


@pytest.mark.parametrize(
    "limits",
    [Limits(max_steps=0), Limits(max_tool_calls=0), Limits(max_tokens=0), Limits(max_seconds=0.0)],
)
async def test_a_limit_stops_the_run(limits):
    trajectory = await agent(limits=limits).run("add 2 to 3")

    assert (trajectory.stop_reason, trajectory.calls) == ("limit", ())


async def test_a_run_beyond_its_steps_keeps_what_was_done():
    trajectory = await agent(limits=Limits(max_steps=1)).run('shout "hello" and shout "fail"')

    assert trajectory.stop_reason == "limit"
    assert [step.result.content for step in trajectory.steps] == ["HELLO"]


async def test_setting_cancel_ends_the_run_at_once():
    cancel = asyncio.Event()

    async def hang(prompt, shape, config) -> str:
        cancel.set()
        await asyncio.Event().wait()
        return ""

    hanging = Agent(FunctionModel(hang, score=score), tools=TOOLS)
    trajectory = await hanging.run("add 2 to 3", cancel=cancel)

    assert trajectory.stop_reason == "cancelled"
    assert [step.result.content for step in trajectory.steps] == ["5"]


async def test_cancelling_the_task_cancels_the_tool():
    started, ended = asyncio.Event(), asyncio.Event()

    @tool(effect="read", name="shout")
    async def hang(text: str) -> str:
        """Hangs.

        Args:
            text: Anything.
        """
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return text

    task = asyncio.create_task(agent(tools=(hang,)).run("shout hello"))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_a_model_that_fails_raises_with_what_had_happened():
    def fail(prompt, shape, config) -> str:
        raise ModelError("connection lost")

    failing = Agent(FunctionModel(fail, score=score), tools=TOOLS)
    with pytest.raises(RunError, match="connection lost") as caught:
        await failing.run("add 2 to 3")

    assert caught.value.trajectory.stop_reason == "failed"
    assert caught.value.trajectory.steps[0].result.content == "5"


@pytest.mark.parametrize("request_text", ["", "  \n"])
async def test_an_empty_request_is_misuse(request_text):
    with pytest.raises(UsageError, match="the request is empty"):
        await agent().run(request_text)


def test_run_sync_does_what_run_does():
    assert agent().run_sync("add 2 to 3").steps[0].result.content == "5"


async def test_run_sync_inside_a_loop_says_what_to_do():
    with pytest.raises(UsageError, match=r"await agent\.run"):
        agent().run_sync("add 2 to 3")


async def test_a_stream_yields_what_happens_as_it_happens():
    events = [event async for event in agent().stream("add 2 to 3")]

    assert [type(event) for event in events] == [
        RunStarted,
        Planned,
        ToolDecided,
        ArgumentsDecided,
        CallStarted,
        CallFinished,
        StepFinished,
        RunFinished,
    ]
    assert events[-1].trajectory.answer == "The results are add(a=2, b=3): 5"


async def test_leaving_a_stream_cancels_the_run():
    ended = asyncio.Event()

    async def hang(prompt, shape, config) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    stream = Agent(FunctionModel(hang, score=score), tools=TOOLS).stream("add 2 to 3")
    async for event in stream:
        if isinstance(event, StepFinished):
            break
    await stream.aclose()
    assert ended.is_set()


async def test_a_stream_raises_what_a_run_raises():
    def fail(prompt, shape, config) -> str:
        raise ModelError("connection lost")

    events = []
    stream = Agent(FunctionModel(fail, score=score), tools=TOOLS).stream("add 2 to 3")
    with pytest.raises(RunError, match="connection lost"):
        events.extend([event async for event in stream])
    assert events == []


async def test_one_agent_serves_a_hundred_runs_at_once():
    serving = agent()
    trajectories = await asyncio.gather(*(serving.run(f"add {n} to 1000") for n in range(100)))

    assert [trajectory.steps[0].result.content for trajectory in trajectories] == [
        str(n + 1000) for n in range(100)
    ]
    assert len({trajectory.id for trajectory in trajectories}) == 100


async def test_weights_are_the_agents_own():
    weights = type(DEFAULT_WEIGHTS)(evidence={"lexical": 1.0}, none_bias=-50.0, gate=0.0)
    trajectory = await agent(weights=weights).run("erase a.txt for good")

    assert set(trajectory.steps[0].candidates[0].evidence) == {"lexical"}


def test_a_bad_tool_is_refused_when_the_agent_is_made():
    with pytest.raises(UsageError):
        Agent(FunctionModel(), tools=[lambda x: x])


async def test_an_agent_without_tools_finds_none():
    trajectory = await agent(tools=()).run("add 2 to 3")

    assert trajectory.stop_reason == "no_tool"


async def test_a_model_that_cannot_take_a_request_apart_serves_it_whole():
    def only_answers(prompt, shape, config) -> str:
        if shape is not None:
            raise ModelError("no shapes here")
        return "done"

    serving = Agent(FunctionModel(only_answers, score=score), tools=TOOLS)
    trajectory = await serving.run("add 2 to 3 and nothing else")

    assert [step.request for step in trajectory.steps] == ["add 2 to 3 and nothing else"]
    assert trajectory.answer == "done"
    assert trajectory.steps[0].confidence > 0.9


async def test_a_call_that_is_under_way_when_the_run_is_stopped_stands_in_the_trajectory():
    cancel = asyncio.Event()

    @tool(effect="read", name="shout")
    async def hang(text: str) -> str:
        """Writes a text in capital letters.

        Args:
            text: What to shout.
        """
        if text == "hello":
            return "HELLO"
        cancel.set()
        await asyncio.Event().wait()
        return ""

    trajectory = await agent(tools=(hang,)).run('shout "hello" and shout "fail"', cancel=cancel)

    assert trajectory.stop_reason == "cancelled"
    assert [(step.call.arguments, step.result) for step in trajectory.steps][1] == (
        {"text": "fail"},
        None,
    )
    assert trajectory.steps[0].result.content == "HELLO"


async def test_a_part_that_stays_without_its_argument_is_asked_for_after_the_others():
    failures = iter([True, False])

    @tool(effect="read", name="add")
    def flaky(a: int, b: int) -> int:
        """Adds two numbers.

        Args:
            a: The first number.
            b: The second number.
        """
        if next(failures):
            raise ToolError("try 5 to 3")
        return a + b

    trajectory = await agent(tools=(flaky, shout)).run("add 2 to 3 to 4 and shout")

    assert trajectory.stop_reason == "needs_input"
    assert trajectory.answer == "Please tell me: text (What to shout)."


def changing(done, *, fail: bool):
    """Tools that change something, of which the first can fail."""

    @tool(effect="write", name="shout")
    async def write(text: str) -> str:
        """Writes a text in capital letters.

        Args:
            text: What to shout.
        """
        done.append(f"begin {text}")
        await asyncio.sleep(0)
        if fail:
            raise ToolError("no voice")
        done.append(f"end {text}")
        return text.upper()

    async def approve(call, spec) -> bool:
        return True

    return agent(tools=(write, add), approve=approve)


async def test_calls_that_change_something_are_made_in_the_order_of_the_request():
    done: list[str] = []
    await changing(done, fail=False).run('shout "hello" and shout "fail"')

    assert done == ["begin hello", "end hello", "begin fail", "end fail"]


async def test_after_a_change_that_failed_the_rest_is_not_made():
    done: list[str] = []
    trajectory = await changing(done, fail=True).run('shout "hello" and shout "fail"')

    assert done == ["begin hello"]
    assert [step.discarded for step in trajectory.steps] == [None, "a call before it failed"]
    assert [call.arguments for call in trajectory.calls] == [{"text": "hello"}]
    assert trajectory.stop_reason == "failed"


async def test_what_was_discarded_is_not_gone_on_with():
    question = await agent().run("add something and dance")
    answered = await agent().run("2 to 3", after=question)

    assert [step.discarded is None for step in question.steps] == [False, False, True]
    assert question.stop_reason == "needs_input"
    assert [call.arguments for call in answered.calls] == [{"a": 2, "b": 3}]


async def test_a_part_that_lacks_something_is_asked_for_beside_the_callers_calls():
    trajectory = await agent(execute=False).run("add 2 to 3 and shout")
    later = await agent(execute=False).run("shout hello", after=trajectory)

    assert (trajectory.stop_reason, trajectory.answer) == (
        "called",
        "Please tell me: text (What to shout).",
    )
    assert [call.name for call in later.calls] == ["shout"]


async def test_a_call_for_the_caller_is_checked_as_a_whole():
    both = {**add.spec.parameters, "not": {"required": ["a", "b"]}}
    toolset = Toolset.from_json([{"name": "add", "description": "Adds.", "parameters": both}])
    trajectory = await agent(tools=toolset).run("add 2 to 3")

    assert trajectory.steps[0].result.error == "invalid_arguments"
    assert trajectory.stop_reason == "failed"


async def test_parts_that_leave_a_word_out_are_not_trusted():
    def drops_not(prompt, shape, config) -> str:
        if prompt[0].content.startswith("You take a request apart"):
            return json.dumps(["add 2 to 3", "shout hello"])
        return generate(prompt, shape, config)

    serving = Agent(FunctionModel(drops_not, score=score), tools=TOOLS)
    trajectory = await serving.run("add 2 to 3 and do not shout hello")

    assert trajectory.steps[0].request == "add 2 to 3 and do not shout hello"

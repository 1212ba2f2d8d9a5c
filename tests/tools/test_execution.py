"""Tool calls, carried out to the one result that each gets."""

import asyncio
import dataclasses
import datetime
import itertools
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel

from toolverifier.core import ToolCall, ToolError, ToolResult
from toolverifier.tools import Effect, Tool, Toolset, ToolSpec, execute, tool

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}, "x": {}}}


def toolset_of(
    run: Callable[[dict[str, Any]], Awaitable[Any]] | None,
    *,
    effect: Effect = "read",
    timeout_s: float | None = None,
) -> Toolset:
    spec = ToolSpec(name="act", description="Acts.", parameters=SCHEMA, effect=effect)
    return Toolset([Tool(spec=spec, run=run, timeout_s=timeout_s)])


def returning(value: Any) -> Callable[[dict[str, Any]], Awaitable[Any]]:
    async def run(_arguments: dict[str, Any]) -> Any:
        return value

    return run


def raising(error: BaseException) -> Callable[[dict[str, Any]], Awaitable[Any]]:
    async def run(_arguments: dict[str, Any]) -> Any:
        raise error

    return run


ACT = ToolCall(id="1", name="act", arguments={"n": 1})


def failure(kind: Any, content: str) -> ToolResult:
    return ToolResult(call_id="1", name="act", content=content, error=kind)


async def test_a_call_gets_the_tools_text() -> None:
    async def run(arguments: dict[str, Any]) -> str:
        return f"n is {arguments['n']}"

    assert await execute(toolset_of(run), ACT) == ToolResult(
        call_id="1", name="act", content="n is 1"
    )


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            ToolCall(id="1", name="act", parse_error="no JSON object"),
            failure("parse", "The call could not be read: no JSON object."),
        ),
        (
            ToolCall(id="1", name="akt"),
            ToolResult(
                call_id="1",
                name="akt",
                content='There is no tool "akt"; did you mean "act"?\nThere are: act',
                error="unknown_tool",
            ),
        ),
        (
            ToolCall(id="1", name="zzz"),
            ToolResult(
                call_id="1",
                name="zzz",
                content='There is no tool "zzz".\nThere are: act',
                error="unknown_tool",
            ),
        ),
        (
            ToolCall(id="1", name="act", arguments={"n": "one"}),
            failure(
                "invalid_arguments",
                'The arguments of act are not valid:\n- n: expected integer, got "one" (string)',
            ),
        ),
        (
            ToolCall(id="1", name="act", arguments={"n": float("nan")}),
            failure(
                "invalid_arguments",
                "The arguments of act are not valid:\n"
                "- not plain JSON data: Out of range float values are not JSON compliant",
            ),
        ),
    ],
)
async def test_a_call_that_cannot_be_made_says_why(call: ToolCall, expected: ToolResult) -> None:
    assert await execute(toolset_of(returning("")), call) == expected


async def test_arguments_nested_without_end_are_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    call = ToolCall(id="1", name="act", arguments={"x": deep})
    result = await execute(toolset_of(returning("")), call)
    assert (result.error, "nested too deeply" in result.content) == ("invalid_arguments", True)


async def test_a_tool_without_a_binding_is_the_applications_to_call() -> None:
    assert await execute(toolset_of(None, effect="write"), ACT) == failure(
        "execution", "act has no binding: the application itself makes its calls."
    )


async def test_what_is_not_read_is_refused_where_nobody_can_approve() -> None:
    assert await execute(toolset_of(returning("done"), effect="write"), ACT) == failure(
        "rejected", "act changes something (effect: write) and nobody is there to approve it."
    )


async def test_approval_decides_about_what_is_not_read() -> None:
    asked: list[Any] = []

    def answering(answer: bool) -> Any:
        async def approve(call: ToolCall, spec: ToolSpec) -> bool:
            asked.append((call, spec.effect))
            return answer

        return approve

    destructive = toolset_of(returning("done"), effect="destructive")
    results = [
        await execute(destructive, ACT, approve=answering(True)),
        await execute(destructive, ACT, approve=answering(False)),
        await execute(toolset_of(returning("done")), ACT, approve=answering(False)),
    ]
    assert results == [
        ToolResult(call_id="1", name="act", content="done"),
        failure("rejected", "The call of act was not approved."),
        ToolResult(call_id="1", name="act", content="done"),
    ]
    assert asked == [(ACT, "destructive"), (ACT, "destructive")]


async def test_an_approval_callback_that_fails_is_the_applications_bug_and_nothing_is_called() -> (
    None
):
    called: list[Any] = []

    async def run(arguments: dict[str, Any]) -> None:
        called.append(arguments)

    async def approve(_call: ToolCall, _spec: ToolSpec) -> bool:
        raise LookupError("no user interface")

    with pytest.raises(LookupError):
        await execute(toolset_of(run, effect="write"), ACT, approve=approve)
    assert called == []


async def test_a_tool_cannot_change_the_call_that_is_on_record() -> None:
    async def run(arguments: dict[str, Any]) -> str:
        arguments["x"].clear()
        return "done"

    call = ToolCall(id="1", name="act", arguments={"x": [1]})
    await execute(toolset_of(run), call)
    assert call.arguments == {"x": [1]}


class Point(BaseModel):
    at: datetime.date


@dataclasses.dataclass
class Pair:
    left: int
    right: set[int]


class Mute(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise ValueError("nothing to say")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (None, "null"),
        (True, "true"),
        ({"a": [1, 2.5, "ü"]}, '{"a": [1, 2.5, "ü"]}'),
        ((1, 2), "[1, 2]"),
        (Point(at=datetime.date(2026, 5, 31)), '{"at": "2026-05-31"}'),
        ([Pair(left=1, right={2})], '[{"left": 1, "right": [2]}]'),
        ("half \ud800 pair", "half ? pair"),
    ],
)
async def test_what_a_tool_returns_becomes_text(value: Any, expected: str) -> None:
    assert await execute(toolset_of(returning(value)), ACT) == ToolResult(
        call_id="1", name="act", content=expected
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            b"bytes",
            "The tool returned a bytes, which is neither text nor JSON: a bytes is not JSON",
        ),
        (
            {"endless": itertools.count()},
            "The tool returned a dict, which is neither text nor JSON: a count is not JSON",
        ),
        (
            threading.Event,
            "The tool returned a type, which is neither text nor JSON: "
            "Unable to serialize unknown type: <class 'type'>",
        ),
        (
            {(1, 2): 3},
            "The tool returned a dict, which is neither text nor JSON: "
            "keys must be str, int, float, bool or None, not tuple",
        ),
    ],
)
async def test_a_value_that_is_neither_text_nor_json_is_an_error(value: Any, expected: str) -> None:
    assert await execute(toolset_of(returning(value)), ACT) == failure("execution", expected)


async def test_a_value_nested_without_end_is_an_error() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    result = await execute(toolset_of(returning(deep)), ACT)
    assert (result.error, "RecursionError" in result.content) == ("execution", True)


async def test_long_output_is_cut_and_the_result_says_how_much() -> None:
    huge = "a" * 50_000_000
    results = [
        await execute(toolset_of(returning(value)), ACT, max_output_chars=10)
        for value in (huge, [huge], list(range(1_000_000)), "exactly 10")
    ]
    assert [result.content for result in results] == [
        "aaaaaaaaaa\n[cut after 10 characters; 49999990 of 50000000 characters left out]",
        '["aaaaaaaa\n[cut after 10 characters; more left out]',
        "[0, 1, 2, \n[cut after 10 characters; more left out]",
        "exactly 10",
    ]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ToolError("No such city."), failure("execution", "No such city.")),
        (ToolError("Too slow.", kind="timeout"), failure("timeout", "Too slow.")),
        (ValueError("odd"), failure("execution", "act failed: ValueError: odd")),
        (ValueError(), failure("execution", "act failed: ValueError")),
        (TimeoutError("socket"), failure("execution", "act failed: TimeoutError: socket")),
        (SystemExit(3), failure("execution", "act failed: SystemExit: 3")),
        (asyncio.CancelledError(), failure("execution", "act failed: CancelledError")),
        (Mute(), failure("execution", "act failed: Mute")),
        (
            ValueError("a" * 600),
            failure("execution", f"act failed: ValueError: {'a' * 500}…"),
        ),
        (
            ToolError("a" * 30),
            failure("execution", f"{'a' * 25}\n[cut after 25 characters; 5 of 30 characters left out]"),
        ),
    ],
)  # fmt: skip
async def test_what_a_tool_raises_is_told_to_the_model(
    error: BaseException, expected: ToolResult
) -> None:
    limit = 25 if "cut after" in expected.content else 20_000
    assert await execute(toolset_of(raising(error)), ACT, max_output_chars=limit) == expected


async def test_a_sync_tool_that_exits_does_not_end_the_process() -> None:
    @tool(effect="read")
    def leave() -> None:
        """Leaves."""
        raise SystemExit(1)

    result = await execute(Toolset([leave]), ToolCall(id="1", name="leave"))
    assert (result.error, result.content) == ("execution", "leave failed: SystemExit: 1")


def test_an_interrupt_from_the_keyboard_ends_the_run() -> None:
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(execute(toolset_of(raising(KeyboardInterrupt())), ACT))


async def test_a_tool_that_recurses_without_end_is_an_error() -> None:
    @tool(effect="read")
    def recurse() -> Any:
        """Recurses."""
        return recurse_again()

    def recurse_again() -> Any:
        return recurse_again()

    result = await execute(Toolset([recurse]), ToolCall(id="1", name="recurse"))
    assert (result.error, "RecursionError" in result.content) == ("execution", True)


async def test_a_hanging_coroutine_is_cancelled_at_its_own_time_limit() -> None:
    cleaned_up = asyncio.Event()

    async def run(_arguments: dict[str, Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.set()

    assert await execute(toolset_of(run, timeout_s=0.01), ACT, timeout_s=1000) == failure(
        "timeout", "act did not finish within 0.01 seconds and was given up."
    )
    assert cleaned_up.is_set()


async def test_a_coroutine_that_will_not_be_cancelled_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("toolverifier.tools.execution.GRACE_S", 0.01)
    release, left = asyncio.Event(), asyncio.Event()

    async def run(_arguments: dict[str, Any]) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        left.set()

    result = await execute(toolset_of(run), ACT, timeout_s=0.01)
    assert result.error == "timeout"
    release.set()
    await left.wait()


async def test_a_hanging_sync_tool_is_not_waited_for() -> None:
    release, finished = threading.Event(), threading.Event()

    @tool(effect="read")
    def hang() -> None:
        """Hangs."""
        release.wait()
        finished.set()

    result = await execute(Toolset([hang]), ToolCall(id="1", name="hang"), timeout_s=0.01)
    assert (result.error, finished.is_set()) == ("timeout", False)
    release.set()
    assert finished.wait(5)
    await asyncio.sleep(0.01)  # the late result arrives, and nobody minds


def test_a_sync_tool_that_outlives_the_event_loop_does_no_harm() -> None:
    release = threading.Event()
    threads: list[threading.Thread] = []

    @tool(effect="read")
    def hang() -> None:
        """Hangs."""
        threads.append(threading.current_thread())
        release.wait()

    call = ToolCall(id="1", name="hang")
    result = asyncio.run(execute(Toolset([hang]), call, timeout_s=0.05))
    release.set()
    threads[0].join(5)
    assert (result.error, threads[0].is_alive()) == ("timeout", False)


async def test_cancelling_a_call_cancels_its_tool_and_is_passed_on() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def run(_arguments: dict[str, Any]) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    task = asyncio.create_task(execute(toolset_of(run), ACT))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()

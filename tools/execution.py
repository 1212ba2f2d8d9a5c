"""The one way in which a tool call is carried out: decoded, known, valid, allowed, called.

Every call gets exactly one result. What goes wrong is told to the model, in the result; only cancellation, an
interrupt from the keyboard, and an exception of the approval callback (a bug of the application's) are raised.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from ..core import ToolCall, ToolError, ToolErrorKind, ToolResult
from .arguments import argument_problems, did_you_mean
from .json_text import plain, shortened, shown
from .spec import ToolSpec
from .tool import Tool
from .toolset import Toolset

Approve = Callable[[ToolCall, ToolSpec], Awaitable[bool]]
"""Asks somebody whether the call may be made."""

MAX_ERROR_CHARS = 500
"""Characters of an exception's text that are told to the model."""
GRACE_S = 1.0
"""Seconds in which a coroutine that is out of time may clean up before it is left behind."""


async def execute(
    toolset: Toolset,
    call: ToolCall,
    *,
    approve: Approve | None = None,
    timeout_s: float = 60.0,
    max_output_chars: int = 20_000,
) -> ToolResult:
    """Carries out the call and returns its result, or the error to tell the model.

    A tool whose effect is not ``read`` is called only when `approve` says yes; with None nobody can be asked and the
    call is refused. Approval takes the time it takes; the call may take the tool's own `timeout_s`, or else the one
    given here. A tool that is out of time is cancelled and not waited for; a sync one goes on in its thread, with
    nobody to hear its result. Longer output than `max_output_chars` is cut, and the result says so.
    """
    try:
        tool, arguments = _ready(toolset, call)
        await _ask(tool, call, approve)
    except ToolError as error:
        return _failure(call, error.kind, error.message)
    limit = timeout_s if tool.timeout_s is None else tool.timeout_s
    work = asyncio.create_task(_carry_out(tool, call, arguments, max_output_chars))
    try:
        await asyncio.wait({work}, timeout=limit)
    finally:
        finished = work.done()
        if not finished:
            work.cancel()
            await asyncio.wait({work}, timeout=GRACE_S)
    if finished:
        return work.result()
    message = f"{call.name} did not finish within {limit:g} seconds and was given up."
    return _failure(call, "timeout", message)


def check(toolset: Toolset, call: ToolCall) -> ToolResult | None:
    """Returns the failure of a call that must not be made as it is, or None where it may: for calls that the caller makes."""
    try:
        _known_and_valid(toolset, call)
    except ToolError as error:
        return _failure(call, error.kind, error.message)
    return None


def _ready(toolset: Toolset, call: ToolCall) -> tuple[Tool, dict[str, Any]]:
    """Returns the call's tool and a copy of its checked arguments, which the tool may do with as it likes."""
    tool = _known_and_valid(toolset, call)
    if tool.run is None:
        raise ToolError(f"{call.name} has no binding: the application itself makes its calls.")
    return tool, plain(call.arguments)


def _known_and_valid(toolset: Toolset, call: ToolCall) -> Tool:
    if call.parse_error is not None:
        raise ToolError(f"The call could not be read: {call.parse_error}.", kind="parse")
    tool = toolset.get(call.name)
    if tool is None:
        names = [spec.name for spec in toolset.specs]
        near = did_you_mean(call.name, names) or "."
        listed = shortened(", ".join(names), limit=1000)
        message = f"There is no tool {shown(call.name)}{near}\nThere are: {listed}"
        raise ToolError(message, kind="unknown_tool")
    problems = argument_problems(tool.spec, call.arguments)
    if problems:
        lines = "\n".join(
            f"- {problem}" if problem.path else f"- {problem.message}" for problem in problems
        )
        message = f"The arguments of {call.name} are not valid:\n{lines}"
        raise ToolError(message, kind="invalid_arguments")
    return tool


async def _ask(tool: Tool, call: ToolCall, approve: Approve | None) -> None:
    if tool.spec.effect == "read":
        return
    if approve is None:
        message = f"{call.name} changes something (effect: {tool.spec.effect}) and nobody is there to approve it."
        raise ToolError(message, kind="rejected")
    if not await approve(call, tool.spec):
        raise ToolError(f"The call of {call.name} was not approved.", kind="rejected")


async def _carry_out(
    tool: Tool, call: ToolCall, arguments: dict[str, Any], max_output_chars: int
) -> ToolResult:
    assert tool.run is not None
    try:
        value = await tool.run(arguments)
        return ToolResult(
            call_id=call.id, name=call.name, content=_rendered(value, max_output_chars)
        )
    except ToolError as error:
        message = _cut(error.message, max_output_chars, len(error.message))
        return _failure(call, error.kind, message)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return _failure(call, "execution", _told(call, error))  # the tool's own doing
    except (Exception, SystemExit) as error:
        return _failure(call, "execution", _told(call, error))


def _failure(call: ToolCall, kind: ToolErrorKind, message: str) -> ToolResult:
    return ToolResult(call_id=call.id, name=call.name, content=_valid(message), error=kind)


def _told(call: ToolCall, error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # an exception that cannot even say what it is
        text = ""
    text = shortened(text, limit=MAX_ERROR_CHARS)
    return f"{call.name} failed: {type(error).__name__}{': ' if text else ''}{text}"


def _rendered(value: Any, limit: int) -> str:
    if isinstance(value, str):
        return _cut(value, limit, len(value))
    text = ""
    try:
        for chunk in _json_chunks(value):
            text += chunk[: limit + 1 - len(text)]
            if len(text) > limit:  # the rest is not even written
                return _cut(text, limit, None)
    except (TypeError, ValueError) as error:
        reason = shortened(str(error), limit=MAX_ERROR_CHARS)
        message = (
            f"The tool returned a {type(value).__name__}, which is neither text nor JSON: {reason}"
        )
        raise ToolError(message) from None
    return _cut(text, limit, len(text))


def _json_chunks(value: Any) -> Iterator[str]:
    return json.JSONEncoder(ensure_ascii=False, default=_jsonable).iterencode(value)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Iterator | bytes | bytearray | memoryview):
        raise TypeError(f"a {type(value).__name__} is not JSON")
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError as error:
        raise TypeError(str(error)) from None


def _cut(text: str, limit: int, length: int | None) -> str:
    """Returns the text, or its first `limit` characters and a note; a `length` of None means that it is unknown."""
    if length is not None and length <= limit:
        return _valid(text)
    of = "more" if length is None else f"{length - limit} of {length} characters"
    return f"{_valid(text[:limit])}\n[cut after {limit} characters; {of} left out]"


def _valid(text: str) -> str:
    """Returns the text without halves of surrogate pairs, which no file and no connection takes."""
    return text.encode(errors="replace").decode()

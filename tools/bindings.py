"""Bindings: what runs the calls of a tool that came as JSON."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable
from reprlib import repr as short
from typing import Any

from ..core import Problem
from .http import bind_http
from .spec import ToolSpec
from .threads import run_in_thread
from .tool import Run

_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def bind(
    spec: ToolSpec,
    binding: Any,
    *,
    path: str,
    allow_python: bool = False,
    allow_private_hosts: bool = False,
) -> Run | list[Problem]:
    """Returns what runs the tool's calls, or everything that is wrong with the binding.

    Args:
        spec: The tool, already checked.
        binding: ``{"type": "http", ...}`` (see `http`) or ``{"type": "python", "function": "module:function"}``.
        path: The binding's JSON path, for the problems.
        allow_python: Whether code that the binding names may be imported. It is imported here and now, so
            that a library with a wrong name is refused at once.
        allow_private_hosts: Whether an ``http`` binding may reach hosts that are not on the public internet.
    """
    if not isinstance(binding, dict):
        return [Problem(path=path, message=f"{short(binding)} is not an object")]
    kind = binding.get("type")
    if kind == "http":
        return bind_http(spec, binding, path=path, allow_private_hosts=allow_private_hosts)
    if kind == "python":
        return _bind_python(spec, binding, path=path, allow_python=allow_python)
    return [Problem(path=f"{path}.type", message=f"{short(kind)} is not one of 'http', 'python'")]


def _bind_python(
    spec: ToolSpec, binding: dict[str, Any], *, path: str, allow_python: bool
) -> Run | list[Problem]:
    problems = [
        Problem(path=f"{path}.{key}", message="unknown key; a python binding has type, function")
        for key in binding
        if key not in ("type", "function")
    ]
    target = binding.get("function")
    path = f"{path}.function"
    if not isinstance(target, str) or not _TARGET.fullmatch(target):
        return [*problems, Problem(path=path, message=f"{short(target)} is not 'module:function'")]
    if not allow_python:
        message = f"{target!r} is code to import; loading with allow_python permits it"
        return [*problems, Problem(path=path, message=message)]
    try:
        function = _imported(target)
    except (Exception, SystemExit) as error:  # whatever the module's own code raises
        message = f"{target!r} cannot be imported: {type(error).__name__}: {error}"
        return [*problems, Problem(path=path, message=message)]
    if not callable(function):
        return [*problems, Problem(path=path, message=f"{target!r} is not callable")]
    messages = _signature_messages(spec, function)
    problems += [Problem(path=path, message=f"{target!r} {message}") for message in messages]
    return problems or _python_run(function)


def _imported(target: str) -> Any:
    module, _, attributes = target.partition(":")
    value: Any = importlib.import_module(module)
    for attribute in attributes.split("."):
        value = getattr(value, attribute)
    return value


def _signature_messages(spec: ToolSpec, function: Callable[..., Any]) -> list[str]:
    """Returns why calls that fit the spec would not fit the function."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return []  # some built-in functions tell nothing
    by_name = {
        name
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    takes_any = any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values())
    messages = [
        f"does not take the argument {name!r}"
        for name in spec.properties
        if name not in by_name and not takes_any
    ]
    for name, parameter in parameters.items():
        needed = parameter.default is parameter.empty
        if parameter.kind == parameter.POSITIONAL_ONLY and needed:
            messages.append(f"takes {name!r} by position only, and arguments are given by name")
        elif name in by_name and needed and name not in spec.required:
            messages.append(f"needs {name!r}, which the tool does not require")
    return messages


def _python_run(function: Callable[..., Any]) -> Run:
    if inspect.iscoroutinefunction(function):

        async def run_async(arguments: dict[str, Any]) -> Any:
            return await function(**arguments)

        return run_async

    async def run_sync(arguments: dict[str, Any]) -> Any:
        value = await run_in_thread(functools.partial(function, **arguments))
        return await value if inspect.isawaitable(value) else value

    return run_sync

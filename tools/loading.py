"""Tool libraries written as JSON, in the shapes that are in use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core import Problem, ToolLibraryError
from .bindings import bind
from .json_text import JsonError, decode, path_to, plain, shown
from .library import collisions, tool_problems
from .spec import Demonstration, ToolSpec
from .tool import Run, Tool

SCHEMA_KEYS = ("parameters", "input_schema", "inputSchema")
"""Where a tool's schema stands: in OpenAI's shape and ours, in Anthropic's, in MCP's."""


def load_tools(
    source: str | Path | list[Any] | dict[str, Any],
    *,
    allow_python: bool,
    allow_private_hosts: bool,
) -> tuple[Tool, ...]:
    """Returns the library's tools in order; see `Toolset.from_json`."""
    name, data = _read(source)
    tools: list[Tool] = []
    problems: list[Problem] = []
    places: list[tuple[str, str]] = []
    entries = _entries(data)
    if isinstance(entries, Problem):
        raise ToolLibraryError(name, (entries,))
    for path, entry in entries:
        tool, found = _tool(
            entry, path, allow_python=allow_python, allow_private_hosts=allow_private_hosts
        )
        problems += found
        if tool is not None:
            tools.append(tool)
            if isinstance(tool.spec.name, str):
                places.append((path, tool.spec.name))
    problems += collisions(places, mend="rename one of them")
    if problems:
        raise ToolLibraryError(name, tuple(problems))
    return tuple(tools)


def _read(source: str | Path | list[Any] | dict[str, Any]) -> tuple[str, Any]:
    """Returns a name for the library and its data."""
    if not isinstance(source, str | Path):
        try:
            return "tool library", plain(source)
        except JsonError as error:
            raise _unreadable("tool library", str(error)) from None
    name = str(source)
    try:
        return name, decode(Path(source).read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise _unreadable(name, f"cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise _unreadable(
            name, f"is not UTF-8 text: {error.reason} at byte {error.start}"
        ) from None
    except JsonError as error:
        raise _unreadable(name, str(error)) from None
    except ValueError as error:  # a path with a null character in it
        raise _unreadable(name, f"cannot be read: {error}") from None


def _unreadable(name: str, message: str) -> ToolLibraryError:
    return ToolLibraryError(name, (Problem(path="$", message=message),))


def _entries(data: Any) -> list[tuple[str, Any]] | Problem:
    path = "$"
    if isinstance(data, dict) and "tools" in data:
        path, data = "$.tools", data["tools"]
    elif isinstance(data, dict) and data:
        return [("$", data)]
    if not isinstance(data, list):
        message = f'a list of tools, {{"tools": [...]}} or one tool is expected, got {shown(data)}'
        return Problem(path=path, message=message)
    if not data:
        return Problem(path=path, message="holds no tools")
    return [(path_to(path, index), entry) for index, entry in enumerate(data)]


def _tool(
    entry: Any, path: str, *, allow_python: bool, allow_private_hosts: bool
) -> tuple[Tool | None, list[Problem]]:
    """Returns the entry's tool, unless it is not even an object, and what is wrong with it."""
    if not isinstance(entry, dict):
        return None, [Problem(path=path, message=f"a tool object is expected, got {shown(entry)}")]
    outer, outer_path = entry, path
    if "function" in entry:
        entry, path = entry["function"], path_to(path, "function")
        if not isinstance(entry, dict):
            message = f"an object with name and description is expected, got {shown(entry)}"
            return None, [Problem(path=path, message=message)]
    extras = {**outer, **entry}
    places = {key: path if key in entry else outer_path for key in extras}
    keys = [key for key in SCHEMA_KEYS if key in entry]
    key = keys[0] if keys else "parameters"
    problems = list(_missing(entry, path))
    if len(keys) > 1:
        problems.append(Problem(path=path, message=f"has {' and '.join(keys)}; keep one"))
    demonstrations, found = _demonstrations(extras, places)
    problems += found
    values: dict[str, Any] = {"name": None, "description": None, **entry}
    spec = ToolSpec(
        name=values["name"],  # of any type until tool_problems has looked
        description=values["description"],
        parameters=entry.get(key, {"type": "object", "properties": {}}),
        effect=extras.get("effect", _hinted_effect(entry)),
        demonstrations=demonstrations,
    )
    tool = Tool(spec=spec, timeout_s=extras.get("timeout_s"))
    told = {problem.path for problem in problems}
    problems += [
        problem
        for problem in tool_problems(tool, path=path, schema_key=key)
        if problem.path not in told
    ]
    if extras.get("binding") is None or problems:
        return tool, problems
    bound: Run | list[Problem] = bind(
        spec,
        extras["binding"],
        path=path_to(places["binding"], "binding"),
        allow_python=allow_python,
        allow_private_hosts=allow_private_hosts,
    )
    if isinstance(bound, list):
        return tool, bound
    return Tool(spec=spec, run=bound, timeout_s=tool.timeout_s), []


def _missing(entry: dict[str, Any], path: str) -> Iterator[Problem]:
    for key in ("name", "description"):
        if key not in entry:
            yield Problem(path=path_to(path, key), message=f"is missing; every tool has a {key}")


def _hinted_effect(entry: dict[str, Any]) -> str:
    """Returns the effect that MCP's annotations tell."""
    annotations = entry.get("annotations")
    hints = annotations if isinstance(annotations, dict) else {}
    if hints.get("readOnlyHint") is True:
        return "read"
    return "destructive" if hints.get("destructiveHint") is True else "write"


def _demonstrations(
    extras: dict[str, Any], places: dict[str, str]
) -> tuple[tuple[Demonstration, ...], list[Problem]]:
    if extras.get("demonstrations") is None:
        return (), []
    given, path = extras["demonstrations"], path_to(places["demonstrations"], "demonstrations")
    if not isinstance(given, list):
        return (), [Problem(path=path, message=f"a list is expected, got {shown(given)}")]
    demonstrations, problems = [], []
    for index, item in enumerate(given):
        if isinstance(item, dict) and item.keys() == {"request", "arguments"}:
            demonstrations.append(Demonstration(**item))
        else:
            message = f'{{"request": TEXT, "arguments": {{...}}}} is expected, got {shown(item)}'
            problems.append(Problem(path=path_to(path, index), message=message))
    return (() if problems else tuple(demonstrations)), problems

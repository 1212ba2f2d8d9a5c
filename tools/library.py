"""What can be wrong with one tool of a library, however it was made."""

from __future__ import annotations

import math
import re
from typing import Any, get_args

from ..core import Problem
from .arguments import argument_problems
from .json_text import path_to, shown
from .schema import schema_problems
from .spec import Effect, ToolSpec
from .tool import Tool

EFFECTS: tuple[str, ...] = get_args(Effect)


def tool_problems(tool: Tool, *, path: str, schema_key: str = "parameters") -> list[Problem]:
    """Returns everything that is wrong with the tool's spec and time limit.

    The values may be of any type, as a file gives them. `path` is the tool's place, `schema_key` the key under which
    its schema stands there.
    """
    spec = tool.spec
    problems = [
        *_name_problems(spec.name, path_to(path, "name")),
        *_description_problems(spec.description, path_to(path, "description")),
    ]
    if spec.effect not in EFFECTS:
        message = f"{shown(spec.effect)} is no effect; one of {', '.join(EFFECTS)} is expected"
        problems.append(Problem(path=path_to(path, "effect"), message=message))
    if tool.timeout_s is not None and not _is_duration(tool.timeout_s):
        message = f"a positive number of seconds is expected, got {shown(tool.timeout_s)}"
        problems.append(Problem(path=path_to(path, "timeout_s"), message=message))
    in_schema = schema_problems(spec.parameters, path=path_to(path, schema_key))
    return [*problems, *in_schema, *([] if in_schema else _demonstration_problems(spec, path))]


def collisions(names: list[tuple[str, str]], *, mend: str) -> list[Problem]:
    """Returns a problem for every name that another tool has already; each name comes with its place."""
    first: dict[str, str] = {}
    problems = []
    for place, name in names:
        if name in first:
            message = f"the name {shown(name)} is taken by {first[name]}; {mend}"
            problems.append(Problem(path=path_to(place, "name"), message=message))
        first.setdefault(name, place)
    return problems


def _name_problems(name: Any, path: str) -> list[Problem]:
    if isinstance(name, str) and name.lower() == "none":
        message = f'{shown(name)} stands for "no tool fits"; give the tool another name'
        return [Problem(path=path, message=message)]
    if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        return []
    message = f"1 to 64 letters, digits, _ or - are expected, got {shown(name)}"
    return [Problem(path=path, message=message)]


def _description_problems(description: Any, path: str) -> list[Problem]:
    if not isinstance(description, str):
        return [Problem(path=path, message=f"text is expected, got {shown(description)}")]
    if not description.strip():
        message = (
            "is empty; say in a sentence (in a function's docstring) what the tool does and when "
            "it is the right one"
        )
        return [Problem(path=path, message=message)]
    return []


def _is_duration(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value < math.inf


def _demonstration_problems(spec: ToolSpec, path: str) -> list[Problem]:
    problems = []
    for index, demonstration in enumerate(spec.demonstrations):
        place = path_to(path, "demonstrations", index)
        if not isinstance(demonstration.request, str) or not demonstration.request.strip():
            message = f"a user's request is expected, got {shown(demonstration.request)}"
            problems.append(Problem(path=path_to(place, "request"), message=message))
        place = path_to(place, "arguments")
        for problem in argument_problems(spec, demonstration.arguments):
            separator = "." if problem.path and not problem.path.startswith("[") else ""
            problems.append(
                Problem(path=f"{place}{separator}{problem.path}", message=problem.message)
            )
    return problems

"""Every prompt of a decision, and the functions that render them.

What is stable (instructions, tools in a fixed order) stands first and the request last, so that a prefix
cache serves all requests to one library. A tool's own prompt (`channel`) does not depend on the request at all.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..core import Message
from ..tools import ToolSpec

NONE = "none"
"""Name of the candidate that stands for "no tool fits"."""

CHANNEL_SYSTEM = "You write user requests."
CHANNEL_TOOL = "Tool: {name}\nDescription: {description}\n{arguments}Write a user request that needs this tool."
CHANNEL_NONE = (
    "Write a user request to an assistant that none of its tools can serve: small talk, a question of general "
    "knowledge, or something that it has no tool for."
)

DIRECT_SYSTEM = (
    "You choose the one tool that serves the user's request. Answer with the tool's name and nothing else.\n\n"
    "Tools:\n{tools}"
)

NONE_DESCRIPTION = f"{NONE}: No tool in this list serves the request."

LABEL_SYSTEM = (
    "You choose the one tool that serves the user's request. Answer with its label and nothing else.\n\n"
    "Tools:\n{tools}"
)

ARGUMENTS_SYSTEM = (
    "You fill in the arguments of a tool call from the user's request, each as a JSON value. Copy values from the request. "
    "An argument that the request does not give is null."
)
ARGUMENTS_TOOL = (
    "Tool: {name}\nDescription: {description}\nArguments:\n{arguments}\n\nRequest: {request}\n\n"
)
ARGUMENTS_CONTEXT = "{request}\n\nWhat is known so far:\n{context}"
ARGUMENT_ASKED = "Value of {name}:"
ARGUMENTS_ASKED = "All arguments, as a JSON object:"
ARGUMENTS_EXAMPLE = ToolSpec(
    name="find_trains",
    description="Finds trains between two cities.",
    parameters={
        "type": "object",
        "properties": {
            "origin": {"type": "string", "description": "City where the journey begins."},
            "stops": {"type": "array", "description": "Cities on the way."},
            "day": {"type": "string", "description": "Day of the journey."},
            "seats": {"type": "integer", "description": "Number of seats."},
            "comfort": {"enum": ["first class", "second class"]},
            "payment": {"enum": ["card", "cash"]},
            "pets": {"type": "boolean"},
        },
        "required": ["origin"],
    },
)
ARGUMENTS_EXAMPLE_REQUEST = (
    "Two seats on the train from Bern by way of Lyon and Nice, please, first class."
)
ARGUMENTS_EXAMPLE_VALUES = {
    "origin": "Bern",
    "stops": ["Lyon", "Nice"],
    "day": None,
    "seats": 2,
    "comfort": "first class",
    "payment": None,
    "pets": None,
}

TEMPLATES = {
    "channel": f"{CHANNEL_SYSTEM}\n{CHANNEL_TOOL}\n{CHANNEL_NONE}",
    "direct": f"{DIRECT_SYSTEM}\n{NONE_DESCRIPTION}",
    "label": LABEL_SYSTEM,
    "arguments": (
        f"{ARGUMENTS_SYSTEM}\n{ARGUMENTS_TOOL}\n{ARGUMENTS_CONTEXT}\n{ARGUMENT_ASKED}\n{ARGUMENTS_ASKED}\n"
        f"{ARGUMENTS_EXAMPLE}\n{ARGUMENTS_EXAMPLE_REQUEST}\n{ARGUMENTS_EXAMPLE_VALUES}"
    ),
}
"""Template of every prompt by the name of what it serves."""


def template_hash(template: str) -> str:
    """Returns the first 12 hex digits of the template's SHA-256, by which a trajectory names it."""
    return hashlib.sha256(template.encode()).hexdigest()[:12]


def one_line(text: str) -> str:
    """Returns the text with every run of white space as one blank."""
    return " ".join(text.split())


def describe(tool: ToolSpec | None) -> str:
    """Returns a tool, or "none", as one line for a list."""
    if tool is None:
        return NONE_DESCRIPTION
    return f"{tool.name}: {one_line(tool.description)}"


def channel_prompt(tool: ToolSpec | None) -> tuple[Message, ...]:
    """Returns the prompt after which the user's request is the assistant's turn."""
    if tool is None:
        return _channel_prompt(CHANNEL_NONE)
    names = ", ".join(tool.properties)
    return _channel_prompt(
        CHANNEL_TOOL.format(
            name=tool.name,
            description=one_line(tool.description),
            arguments=f"Arguments: {names}\n" if names else "",
        )
    )


@functools.lru_cache(maxsize=4096)
def _channel_prompt(content: str) -> tuple[Message, ...]:
    return (
        Message(role="system", content=CHANNEL_SYSTEM),
        Message(role="user", content=content),
    )


def direct_prompt(candidates: Sequence[ToolSpec | None], request: str) -> tuple[Message, ...]:
    """Returns the prompt after which a candidate's name is the assistant's turn."""
    lines = "\n".join(f"- {describe(candidate)}" for candidate in candidates)
    return (
        Message(role="system", content=DIRECT_SYSTEM.format(tools=lines)),
        Message(role="user", content=request),
    )


def label_prompt(
    labelled: Sequence[tuple[str, ToolSpec | None]], request: str
) -> tuple[Message, ...]:
    """Returns the prompt after which one of the labels is the assistant's turn."""
    lines = "\n".join(f"{label}: {describe(tool)}" for label, tool in labelled)
    return (
        Message(role="system", content=LABEL_SYSTEM.format(tools=lines)),
        Message(role="user", content=request),
    )


def arguments_prompt(
    tool: ToolSpec, request: str, context: str, *, name: str | None = None
) -> tuple[Message, ...]:
    """Returns the prompt after which an argument's value is the assistant's turn, or without a `name` all arguments.

    A worked example stands first: without one, small models do not answer with bare JSON values. The tool's own
    demonstrations follow it.
    """
    if context:
        request = ARGUMENTS_CONTEXT.format(request=request, context=context)
    demonstrated: list[Message] = []
    for demonstration in tool.demonstrations:
        shown = demonstration.arguments if name is None else demonstration.arguments.get(name)
        asked_of = _tool_and_request(tool, demonstration.request) + _asked(name)
        demonstrated.append(Message(role="user", content=asked_of))
        demonstrated.append(
            Message(role="assistant", content=json.dumps(shown, ensure_ascii=False))
        )
    return (
        *_worked_example(whole=name is None),
        *demonstrated,
        Message(role="user", content=_tool_and_request(tool, request) + _asked(name)),
    )


@functools.cache
def _worked_example(*, whole: bool) -> tuple[Message, ...]:
    """Returns the system's turn and the example's."""
    example = _tool_and_request(ARGUMENTS_EXAMPLE, ARGUMENTS_EXAMPLE_REQUEST)
    values: list[tuple[str | None, object]] = [*ARGUMENTS_EXAMPLE_VALUES.items()]
    if whole:
        values = [(None, ARGUMENTS_EXAMPLE_VALUES)]
    first, *others = [
        message
        for asked, value in values
        for message in (
            Message(role="user", content=_asked(asked)),
            Message(role="assistant", content=json.dumps(value)),
        )
    ]
    return (
        Message(role="system", content=ARGUMENTS_SYSTEM),
        replace(first, content=example + first.content),
        *others,
    )


def _asked(name: str | None) -> str:
    return ARGUMENTS_ASKED if name is None else ARGUMENT_ASKED.format(name=name)


def _tool_and_request(tool: ToolSpec, request: str) -> str:
    lines = "\n".join(
        f"- {argument} ({_type_text(schema)}{', required' if argument in tool.required else ''})"
        f"{': ' + one_line(schema['description']) if schema.get('description') else ''}"
        for argument, schema in tool.properties.items()
    )
    return ARGUMENTS_TOOL.format(
        name=tool.name,
        description=one_line(tool.description),
        arguments=lines,
        request=request,
    )


def _type_text(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(
            json.dumps(value, ensure_ascii=False) for value in schema["enum"]
        )
    kind = schema.get("type", "any")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{text}, {schema['format']}" if "format" in schema else text

"""A model's text read as a tool call. It is data: parsed, never evaluated."""

from __future__ import annotations

import json
import re
from typing import Any

from ..core import ToolCall
from .json_text import JsonError, decode, shown

MAX_TEXT = 200_000
"""Characters of text that are read; a call is far shorter."""
MAX_ATTEMPTS = 64
"""How many opening braces are tried."""

EXPECTED = 'one JSON object {"name": TOOL, "arguments": {...}} is expected'

_scanner = json.JSONDecoder()


def parse_call(text: str, *, call_id: str) -> ToolCall:
    """Returns the one call ``{"name": ..., "arguments": {...}}`` in the text.

    It may stand in a code fence or between prose; arguments may be left out, or be JSON text themselves. Text without
    a call, with a broken one, or with several gives a call with `parse_error`; nothing is raised.
    """
    try:
        name, arguments = _only_call(text)
    except JsonError as error:
        return ToolCall(id=call_id, name="", parse_error=str(error))
    return ToolCall(id=call_id, name=name, arguments=arguments)


def _only_call(text: str) -> tuple[str, dict[str, Any]]:
    if len(text) > MAX_TEXT:
        raise JsonError(f"the text is longer than {MAX_TEXT} characters; {EXPECTED}")
    objects = _objects(text)
    calls = [found for found in objects if isinstance(found.get("name"), str)]
    if not calls:
        what = "no JSON object" if not objects else f"no name in {shown(objects[0])}"
        raise JsonError(f"{what}; {EXPECTED}")
    if any(call != calls[0] for call in calls):
        raise JsonError(f"{len(calls)} different calls; {EXPECTED}")
    arguments = calls[0].get("arguments", {})
    if isinstance(arguments, str):
        arguments = decode(arguments)
    if not isinstance(arguments, dict):
        raise JsonError(f'"arguments" must be an object, got {shown(arguments)}')
    return calls[0]["name"], arguments


def _objects(text: str) -> list[dict[str, Any]]:
    """Returns the outermost JSON objects in the text.

    Raises:
        JsonError: an object is complete, but not read as `decode` does, or there are braces and none is complete.
    """
    objects: list[dict[str, Any]] = []
    broken: json.JSONDecodeError | None = None
    position = 0
    for _ in range(MAX_ATTEMPTS):
        opening = re.compile(r"\{").search(text, position)
        if opening is None:
            break
        position = opening.end()
        try:
            _, position = _scanner.raw_decode(text, opening.start())
        except json.JSONDecodeError as error:
            broken = broken or error
        except (RecursionError, ValueError):
            raise JsonError(f"an object cannot be read; {EXPECTED}") from None
        else:
            objects.append(decode(text[opening.start() : position]))
    if broken is not None and not any("name" in found for found in objects):
        place = f"line {broken.lineno}, column {broken.colno}"
        raise JsonError(f"not JSON at {place}: {broken.msg}; {EXPECTED}")
    return objects

"""Taking a request apart into parts that one tool call each can serve."""

from __future__ import annotations

import json
import re

from ..core import ModelError, Usage
from ..models import GenerateConfig, Model
from .prompts import split_prompt

_SEVERAL = re.compile(r"\band\b|\bthen\b|\balso\b|;|[.?!]\s+\S|\n", re.IGNORECASE)
_JOINING = frozenset(
    ["and", "then", "also", "after", "afterwards", "finally", "next", "please", "that"]
)
_MAX_PARTS = 6
_SHAPE = {
    "type": "array",
    "items": {"type": "string", "minLength": 3},
    "minItems": 1,
    "maxItems": _MAX_PARTS,
}


async def split_request(request: str, *, model: Model) -> tuple[tuple[str, ...], Usage]:
    """Returns the parts of the request in order, and what that cost.

    A request without a sign of several tasks costs nothing and is one part. So is one whose parts say something else than it
    does: they must be written in the request's own words, and leave out none but those that join them.
    """
    whole = (request,)
    if not _SEVERAL.search(request.strip(" \n.?!")):
        return whole, Usage()
    config = GenerateConfig(max_tokens=64 + len(request) // 2)
    try:
        output = await model.generate(split_prompt(request), shape=_SHAPE, config=config)
    except ModelError:  # the request as it stands is always a plan
        return whole, Usage()
    parts = tuple(json.loads(output.text))
    known = set(_words(request))
    said = {word for part in parts for word in _words(part)}
    faithful = said <= known and known - said <= _JOINING
    return (parts if faithful and len(set(parts)) == len(parts) > 1 else whole), output.usage


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())

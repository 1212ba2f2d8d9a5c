"""Taking a request apart into parts that one tool call each can serve."""

from __future__ import annotations

import json
import re

from ..core import ModelError, Usage
from ..models import GenerateConfig, Model
from .prompts import split_prompt

_SEVERAL = re.compile(r"\band\b|\bthen\b|\balso\b|;|[.?!]\s+\S|\n", re.IGNORECASE)
_MAX_PARTS = 6
_SHAPE = {
    "type": "array",
    "items": {"type": "string", "minLength": 3},
    "minItems": 1,
    "maxItems": _MAX_PARTS,
}


async def split_request(request: str, *, model: Model) -> tuple[tuple[str, ...], Usage]:
    """Returns the parts of the request in order, and what that cost.

    A request without a sign of several tasks costs nothing and is one part. So is one whose parts the model makes up: a part
    must be written in the request's own words.
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
    own = all(known.issuperset(_words(part)) for part in parts)
    return (parts if own and len(set(parts)) == len(parts) > 1 else whole), output.usage


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())

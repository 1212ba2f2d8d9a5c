"""JSON read strictly: nothing that another reader could take for something else gets in."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 64
"""How many objects and arrays may stand inside one another."""


class JsonError(ValueError):
    """Text or data that is not plain JSON; the message says what is wrong and, for text, where."""


def decode(text: str) -> Any:
    """Returns what the JSON text holds.

    Raises:
        JsonError: the text is not JSON, an object has a key twice, a number is no finite number, text is no valid
            Unicode, or the nesting is deeper than `MAX_DEPTH`.
    """
    try:
        value = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise JsonError(f"not JSON at {place}: {error.msg}") from None
    except RecursionError:
        raise JsonError(_TOO_DEEP) from None
    except JsonError:
        raise
    except ValueError as error:  # an integer with more digits than Python converts
        raise JsonError(f"not usable JSON: {error}") from None
    return plain(value)


def plain(value: Any) -> Any:
    """Returns a copy of the value as plain JSON data, sharing nothing with it.

    Raises:
        JsonError: JSON cannot hold the value, or not within the bounds that `decode` keeps.
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
        copy = json.loads(text)
    except RecursionError:
        raise JsonError(_TOO_DEEP) from None
    except UnicodeEncodeError:
        raise JsonError("text in it is not valid Unicode (half of a surrogate pair)") from None
    except (TypeError, ValueError) as error:
        raise JsonError(f"not plain JSON data: {error}") from None
    if _is_deeper(copy, MAX_DEPTH):
        raise JsonError(_TOO_DEEP)
    return copy


def path_to(path: str, *keys: str | int) -> str:
    """Returns the JSON path extended by keys and positions: ``$[2].parameters["odd name"]``."""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
        elif re.fullmatch(r"[A-Za-z_$][\w$-]*", key):
            path += f".{key}" if path else key
        else:
            path += f"[{json.dumps(key, ensure_ascii=False)}]"
    return path


def shown(value: Any, *, limit: int = 80) -> str:
    """Returns the value as JSON text for a message, shortened to about `limit` characters."""
    if isinstance(value, str) and len(value) > limit:
        value = value[: limit + 1]
    return shortened(json.dumps(value, ensure_ascii=False, default=repr), limit=limit)


def shortened(text: str, *, limit: int) -> str:
    """Returns the text, or its first `limit` characters and an ellipsis."""
    return text if len(text) <= limit else text[:limit] + "…"


_TOO_DEEP = f"nested too deeply: at most {MAX_DEPTH} levels are read"


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise JsonError(
            f"the key {shown(twice)} stands twice in one object, beside {_listed(content)}"
        )
    return content


def _listed(content: dict[str, Any]) -> str:
    return shortened(", ".join(json.dumps(key, ensure_ascii=False) for key in content), limit=120)


def _no_constant(constant: str) -> Any:
    raise JsonError(f"{constant} is not a JSON value")


def _is_deeper(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return False
    return True

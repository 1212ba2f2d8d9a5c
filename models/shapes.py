"""What a shape asks of a text, checked on the text itself."""

from __future__ import annotations

from collections.abc import Mapping

from jsonschema.exceptions import best_match
from referencing.exceptions import Unresolvable

from ..core import UsageError
from ..tools.json_text import JsonError, decode, path_to, shortened, shown
from ..tools.validator import (
    TooComplexError,
    draft_of,
    metaschema_violations,
    validator_of,
    violations,
)
from .base import GenerateConfig, Shape


def check_shape(shape: Shape) -> None:
    """Passes where a text of this shape can exist.

    Raises:
        UsageError: no choices, an empty choice, or a mapping that is no JSON Schema.
    """
    if isinstance(shape, tuple) and (not shape or "" in shape):
        raise UsageError(f"shape {shape!r}: give at least one choice, and none that is empty")
    if isinstance(shape, Mapping):
        draft = draft_of(dict(shape))
        if draft is None:
            raise UsageError(
                f"shape: $schema is {shape['$schema']!r}; draft 2020-12 and 7 are read"
            )
        error = best_match(metaschema_violations(dict(shape), draft))
        if error is not None:
            place = path_to("$", *error.absolute_path)
            raise UsageError(f"shape: no JSON Schema at {place}: {error.message}")


def misfit(text: str, shape: Shape) -> str | None:
    """Returns why the text does not have the shape, or None where it does."""
    if shape is None:
        return None
    if isinstance(shape, tuple):
        return None if text in shape else f"{shown(text)} is none of {shown(shape, limit=200)}"
    try:
        error = best_match(violations(validator_of(dict(shape)), decode(text)))
    except JsonError as problem:
        return f"{shown(text)} is {problem}"
    except (Unresolvable, TooComplexError, RecursionError) as problem:
        return f"the schema cannot be followed: {problem}"
    if error is None:
        return None
    return f"{path_to('$', *error.absolute_path)}: {shortened(error.message, limit=200)}"


def cut_at_stop(text: str, config: GenerateConfig) -> tuple[str, bool]:
    """Returns the text before the first stop string, and whether there was one."""
    places = [place for stop in config.stop if stop and (place := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)

"""What a shape asks of a text, checked on the text itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema
from referencing import Registry

from ..core import UsageError
from .base import GenerateConfig, Shape


def check_shape(shape: Shape) -> None:
    """Passes where a text of this shape can exist.

    Raises:
        UsageError: no choices, an empty choice, or a mapping that is no JSON Schema.
    """
    if isinstance(shape, tuple) and (not shape or "" in shape):
        raise UsageError(f"shape {shape!r}: give at least one choice, and none that is empty")
    if isinstance(shape, Mapping):
        try:
            jsonschema.validators.validator_for(
                shape, jsonschema.Draft202012Validator
            ).check_schema(dict(shape))
        except jsonschema.SchemaError as error:
            raise UsageError(
                f"shape: no JSON Schema at {error.json_path}: {error.message}"
            ) from None


def misfit(text: str, shape: Shape) -> str | None:
    """Returns why the text does not have the shape, or None where it does."""
    if shape is None:
        return None
    if isinstance(shape, tuple):
        return None if text in shape else f"{shorten(text)!r} is none of {list(shape)!r}"
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return f"{shorten(text)!r} is not JSON: {error}"
    return _invalid(value, shape)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _invalid(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Returns what is wrong with the value. The empty registry keeps remote references from being fetched."""
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    registry: Registry[Any] = Registry()
    try:
        error = jsonschema.exceptions.best_match(
            kind(dict(schema), registry=registry).iter_errors(value)
        )
    except Exception as failure:  # a reference that leads nowhere or in a circle; jsonschema has no one type for it
        return f"the schema cannot be followed: {shorten(str(failure))}"
    return None if error is None else f"{error.json_path}: {shorten(error.message)}"


def cut_at_stop(text: str, config: GenerateConfig) -> tuple[str, bool]:
    """Returns the text before the first stop string, and whether there was one."""
    places = [place for stop in config.stop if stop and (place := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


def shorten(text: str, limit: int = 200) -> str:
    """Returns the text, cut with an ellipsis where it is longer than `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"

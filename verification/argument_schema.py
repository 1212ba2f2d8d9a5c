"""One argument of a tool, looked at by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from ..tools import ToolSpec, argument_problems

_DEFINITIONS = ("$schema", "$defs", "definitions")
_KEPT = ("#/$defs/", "#/definitions/")
_MAX_DEPTH = 8


@dataclass(frozen=True)
class Argument:
    """An argument's name, its schema, and what fits it."""

    tool: ToolSpec
    name: str

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The argument's schema; where it only refers to a definition, that definition."""
        schema = self.own_schema
        while (reference := schema.get("$ref", "")).startswith("#/"):
            schema = {**self._target(reference), **_without_reference(schema)}
        return schema

    @cached_property
    def own_schema(self) -> dict[str, Any]:
        """The argument's schema as it stands without the tool's other arguments: what it refers to there is written out."""
        schema: dict[str, Any] = self._written_out(self.tool.properties[self.name], depth=0)
        return schema

    def _written_out(self, part: Any, *, depth: int) -> Any:
        if isinstance(part, list):
            return [self._written_out(each, depth=depth) for each in part]
        if not isinstance(part, dict):
            return part
        reference = part.get("$ref")
        if isinstance(reference, str) and not reference.startswith(_KEPT):
            if depth >= _MAX_DEPTH or not reference.startswith("#/"):
                # What refers to itself is not written out for ever, and an anchor not looked for: then anything fits
                # here, and the call as a whole is checked before it is made.
                return {}
            target = {**self._target(reference), **_without_reference(part)}
            return self._written_out(target, depth=depth + 1)
        return {key: self._written_out(value, depth=depth) for key, value in part.items()}

    def _target(self, reference: str) -> dict[str, Any]:
        target: Any = self.tool.parameters
        for key in unquote(reference.removeprefix("#")).split("/")[1:]:
            step = key.replace("~1", "/").replace("~0", "~")
            target = target[int(step)] if isinstance(target, list) else target[step]
        return target if isinstance(target, dict) else {}

    @property
    def required(self) -> bool:
        """Whether a call must have it."""
        return self.name in self.tool.required

    @property
    def choices(self) -> list[Any] | None:
        """All values that it can have, where the schema lists them."""
        schema = self.schema
        if "enum" in schema:
            return list(schema["enum"])
        if "const" in schema:
            return [schema["const"]]
        return [True, False] if schema.get("type") == "boolean" else None

    def takes(self, kind: str) -> bool:
        """Whether its schema names the JSON type `kind`."""
        kinds = self.schema.get("type", ())
        return kind in ((kinds,) if isinstance(kinds, str) else kinds)

    def fits(self, value: Any) -> bool:
        """Whether the value is valid for it."""
        return not argument_problems(self._alone, {self.name: value})

    @cached_property
    def _alone(self) -> ToolSpec:
        parameters = self.within({"type": "object", "properties": {self.name: self.own_schema}})
        return replace(self.tool, parameters=parameters)

    def within(self, shape: dict[str, Any]) -> dict[str, Any]:
        """Returns the shape with the definitions that the tool's schemas refer to."""
        parameters = self.tool.parameters
        kept = {key: parameters[key] for key in _DEFINITIONS if key in parameters}
        return shape | {key: self._written_out(value, depth=0) for key, value in kept.items()}


def _without_reference(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "$ref"}

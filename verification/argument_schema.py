"""One argument of a tool, looked at by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..tools import ToolSpec, argument_problems

_DEFINITIONS = ("$schema", "$defs", "definitions")


@dataclass(frozen=True)
class Argument:
    """An argument's name, its schema, and what fits it."""

    tool: ToolSpec
    name: str

    @property
    def schema(self) -> dict[str, Any]:
        """The argument's schema; where it only refers to a definition, that definition."""
        schema = self.tool.properties[self.name]
        seen: set[str] = set()
        while (reference := schema.get("$ref", "")).startswith("#/") and reference not in seen:
            seen.add(reference)
            target: Any = self.tool.parameters
            for key in reference[2:].split("/"):
                target = target[key.replace("~1", "/").replace("~0", "~")]
            schema = {**target, **{key: schema[key] for key in schema if key != "$ref"}}
        return schema

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
        alone = self.within(
            {"type": "object", "properties": {self.name: self.tool.properties[self.name]}}
        )
        return not argument_problems(replace(self.tool, parameters=alone), {self.name: value})

    def within(self, shape: dict[str, Any]) -> dict[str, Any]:
        """Returns the shape with the definitions that the tool's schemas refer to."""
        parameters = self.tool.parameters
        return shape | {key: parameters[key] for key in _DEFINITIONS if key in parameters}

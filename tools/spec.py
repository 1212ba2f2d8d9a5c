"""The description of a tool: what a decision reads, and what a call is checked against."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

Effect = Literal["read", "write", "destructive"]
"""What calling a tool does to the world. What is not ``read`` asks for approval."""


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """An example request with the arguments that it asks for."""

    request: str
    arguments: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ToolSpec:
    """What a tool is called, what it does, and what it takes.

    A spec that was made by `Toolset.from_json` or `@tool` is checked; its `parameters` are a JSON Schema of type object.
    """

    name: str
    """1 to 64 letters, digits, ``_`` or ``-``, unique in its toolset."""
    description: str
    parameters: dict[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    """JSON Schema (2020-12, or draft 7 where ``$schema`` says so) of the arguments object."""
    effect: Effect = "write"
    """Unknown effects count as ``write``, so that approval is asked for."""
    demonstrations: tuple[Demonstration, ...] = ()

    @property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 over everything that a decision reads."""
        read = [self.name, self.description, self.parameters]
        text = json.dumps(read, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def properties(self) -> dict[str, dict[str, Any]]:
        """Schema of each argument by name, in the schema's order."""
        properties: dict[str, dict[str, Any]] = self.parameters.get("properties", {})
        return properties

    @property
    def required(self) -> frozenset[str]:
        """Names of the arguments that a call must have."""
        return frozenset(self.parameters.get("required", ()))

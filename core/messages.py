"""What is said between user, model and tools."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import ToolErrorKind

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A tool's name with arguments, as a model or a decision gave them."""

    id: str
    """Unique within a run."""
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    """Argument values by name; plain JSON data."""
    parse_error: str | None = None
    """Why the model's text could not be read as a call; `arguments` is empty then."""


@dataclass(frozen=True, kw_only=True)
class ToolResult:
    """The one result that every tool call gets."""

    call_id: str
    name: str
    content: str
    """What the tool returned, as text; with `error`, the message written for the model."""
    error: ToolErrorKind | None = None
    """How the call failed, or None where it went well."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls that an assistant's turn makes."""
    tool_call_id: str | None = None
    """The call that a tool's turn answers."""

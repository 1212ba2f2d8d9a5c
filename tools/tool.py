"""A tool: its spec with what runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .spec import ToolSpec

Run = Callable[[dict[str, Any]], Awaitable[Any]]
"""Runs a call with its checked arguments and returns the tool's value (text, or anything that JSON can hold).
Raises `ToolError` for what the model should be told; any other exception counts as a failure of the tool."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """What a toolset holds."""

    spec: ToolSpec
    run: Run | None = None
    """None where the tool came without a binding: the caller runs its calls."""
    timeout_s: float | None = None
    """Seconds that one call may take; None takes the run's default."""

"""Agents that look twice before they call a tool.

The public names are imported where they are first used: `import toolverifier` alone costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agent import Agent
    from .core import Limits, ToolCall, ToolError, ToolResult, Trajectory
    from .models import load_model
    from .tools import Tool, Toolset, ToolSpec, tool, workspace

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "Limits",
    "Tool",
    "ToolCall",
    "ToolError",
    "ToolResult",
    "ToolSpec",
    "Toolset",
    "Trajectory",
    "load_model",
    "tool",
    "workspace",
]

_HOMES = {
    "agent": ("Agent",),
    "core": ("Limits", "ToolCall", "ToolError", "ToolResult", "Trajectory"),
    "models": ("load_model",),
    "tools": ("Tool", "ToolSpec", "Toolset", "tool", "workspace"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f".{home}", __name__), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

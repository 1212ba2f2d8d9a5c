"""Agents that look twice before they call a tool."""

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

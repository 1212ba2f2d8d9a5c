"""Tools: their specs, how they are made and checked, and how their calls are carried out."""

from .arguments import argument_problems
from .builtin import workspace
from .execution import Approve, check, execute
from .function import tool
from .parsing import parse_call
from .spec import Demonstration, Effect, ToolSpec
from .tool import Run, Tool
from .toolset import Toolset

__all__ = [
    "Approve",
    "Demonstration",
    "Effect",
    "Run",
    "Tool",
    "ToolSpec",
    "Toolset",
    "argument_problems",
    "check",
    "execute",
    "parse_call",
    "tool",
    "workspace",
]

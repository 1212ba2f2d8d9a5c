"""The built-in tools that read a folder, tell the time, convert units and calculate."""

from __future__ import annotations

from pathlib import Path

from ..toolset import Toolset
from .calculator import calculator_tools
from .files import file_tools
from .folder import Folder
from .times import Clock, system_clock, time_tools
from .units import unit_tools

__all__ = ["workspace"]


def workspace(folder: str | Path, *, clock: Clock = system_clock) -> Toolset:
    """Returns read-only tools over a folder, many of them near-twins.

    No path leads out of the folder, links included; `folder.Folder` says what that does not cover.

    Args:
        folder: What the file tools see.
        clock: Says what is now, with a zone.

    Raises:
        UsageError: there is no such folder.
    """
    return Toolset(
        [
            *file_tools(Folder(folder)),
            *time_tools(clock),
            *unit_tools(),
            *calculator_tools(),
        ]
    )

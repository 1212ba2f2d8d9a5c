"""Asking the user whether a call may be made."""

from __future__ import annotations

import asyncio
import os
import sys

from rich.console import Console
from rich.status import Status
from rich.text import Text

from ..core import ToolCall
from ..tools import ToolSpec
from ..tools.threads import run_in_thread
from .live import call_text


class Approval:
    """Asks on the terminal, one call after the other; without a terminal the answer is no.

    `status` is the display to stop while the user is asked; with `yes` every call is approved unasked.
    """

    def __init__(self, status: Status, *, yes: bool) -> None:
        self._status = status
        self._yes = yes
        self._asking = asyncio.Lock()

    async def __call__(self, call: ToolCall, spec: ToolSpec) -> bool:
        """Returns whether the call may be made."""
        if self._yes:
            return True
        if not sys.stdin.isatty():
            return False
        async with self._asking:
            self._status.stop()
            try:
                asker = Console(stderr=True, highlight=False)
                asker.print(call_text(call), f"is a {spec.effect} call.")
                asker.print(Text("Make it? [y/N]: "), end="")
                return await run_in_thread(_confirmed)
            finally:
                self._status.start()


def _confirmed() -> bool:
    """Reads past `sys.stdin`: a thread that is left waiting in it would hold its lock, and Python could not exit."""
    return os.read(sys.stdin.fileno(), 1000).strip().lower() in (b"y", b"yes")

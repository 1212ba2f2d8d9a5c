"""What a command's failure looks like: one message, and an exit code that says whose turn it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from ..core import ToolVerifierError, UsageError
from .text import plain


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turns errors told to the caller into a message on standard error and exit code 2 (wrong usage) or 1 (it failed)."""
    try:
        yield
    except ToolVerifierError as error:
        Console(stderr=True).print(plain(f"error: {error}", "red"), soft_wrap=True)
        raise typer.Exit(2 if isinstance(error, UsageError) else 1) from None

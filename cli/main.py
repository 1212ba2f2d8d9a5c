"""The command line: one file a command; each parses, calls the library and prints."""

from __future__ import annotations

import typer

from . import models, tools
from .demo import demo
from .run import run

app = typer.Typer(
    name="toolverifier",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Agents that look twice before they call a tool.",
)
app.command()(run)
app.command()(demo)
app.add_typer(tools.app, name="tools")
app.add_typer(models.app, name="models")


def main() -> None:
    """Runs the command line. Exit codes: 0 done, 1 it failed, 2 wrong usage."""
    app()

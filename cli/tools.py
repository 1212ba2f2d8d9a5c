"""`toolverifier tools`: what a toolset offers."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from .exits import exit_codes
from .text import plain
from .toolsets import TOOLS_HELP, AllowPrivateHosts, AllowPython, load_toolset

app = typer.Typer(no_args_is_help=True, help="Tools and their schemas.")


@app.command("list")
def list_tools(
    sources: Annotated[list[str], typer.Argument(metavar="TOOLS...", help=TOOLS_HELP)],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
    allow_python: AllowPython = False,
    allow_private_hosts: AllowPrivateHosts = False,
) -> None:
    """Check a tool library and show its tools."""
    with exit_codes():
        toolset = load_toolset(
            sources, allow_python=allow_python, allow_private_hosts=allow_private_hosts
        )
        if as_json:
            typer.echo(json.dumps([asdict(spec) for spec in toolset.specs], indent=2))
            return
        table = Table("name", "arguments", "effect", "description", box=None, pad_edge=False)
        for spec in toolset.specs:
            names = [name if name in spec.required else f"[{name}]" for name in spec.properties]
            table.add_row(spec.name, plain(", ".join(names)), spec.effect, plain(spec.description))
        Console().print(table)

"""`toolverifier models`: what the catalog has, and getting it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..models.catalog import CatalogEntry, entries, entry, find
from ..models.download import HubSource, Source
from .exits import exit_codes
from .loading import pull_with_progress

app = typer.Typer(no_args_is_help=True, help="Small quantized models that can be pulled by name.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command("list")
def list_models(*, as_json: Json = False) -> None:
    """Show the catalog and what of it is on this machine."""
    with exit_codes():
        if as_json:
            typer.echo(json.dumps([_facts(model) for model in entries()], indent=2))
            return
        table = Table("name", "model", "licence", "size", "here", box=None, pad_edge=False)
        for model in entries():
            here = "yes" if find(model) else "no"
            table.add_row(model.name, model.title, model.licence, _megabytes(model), here)
        Console().print(table)


@app.command()
def info(name: str, *, as_json: Json = False) -> None:
    """Show one model: its licence, hash, sources, and its file on this machine."""
    with exit_codes():
        facts = _facts(entry(name))
        if as_json:
            typer.echo(json.dumps(facts, indent=2))
            return
        for key, value in facts.items():
            for line in value if isinstance(value, list) else [value]:
                typer.echo(f"{key:8}  {'not on this machine' if line is None else line}")


@app.command()
def pull(names: list[str], *, as_json: Json = False) -> None:
    """Get models; a pull that was stopped goes on where it was."""
    with exit_codes():
        models = [entry(name) for name in names]
        for model in models:
            asyncio.run(_pull(model))
        if as_json:
            typer.echo(json.dumps([_facts(model) for model in models], indent=2))


async def _pull(model: CatalogEntry) -> None:
    console = Console(stderr=True)
    if path := find(model):
        console.print(f"{model.name} is here: {path}", soft_wrap=True, highlight=False)
    else:
        await pull_with_progress(model, console=console)


def _facts(model: CatalogEntry) -> dict[str, Any]:
    """Returns what there is to know about a model, as JSON data."""
    facts = asdict(model)
    path = find(model)
    facts["sources"] = [f"{source.label}: {_place(source)}" for source in model.sources]
    return facts | {"path": str(path) if path else None}


def _place(source: Source) -> str:
    if isinstance(source, HubSource):
        return f"{source.repository}/{source.file} at {source.revision}"
    more = len(source.parts) - 1
    return f"{source.parts[0].package} {source.version}" + (f" and {more} more" if more else "")


def _megabytes(model: CatalogEntry) -> str:
    return f"{model.size / 1e6:,.0f} MB"

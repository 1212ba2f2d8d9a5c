"""Models for a command: pulled with a progress bar, loaded with a word on what is going on."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ..models import DEFAULT_MODEL, Model, load_model
from ..models.catalog import CATALOG, CatalogEntry, ensure, find

MODEL_HELP = (
    "hf:NAME (a name of the catalog, a folder, or a name at the model hub) or openai:MODEL@URL."
)


async def load_with_progress(name: str) -> Model:
    """Returns the model of that name; one of the catalog is pulled first where it is not here.

    All that is printed goes to standard error, so that standard output stays for results.
    """
    console = Console(stderr=True)
    catalog_name = name.removeprefix("hf:").partition("#")[0]
    for entry in CATALOG:
        if name.startswith("hf:") and entry.name == catalog_name and find(entry) is None:
            await pull_with_progress(entry, console=console)
    with console.status(
        f"loading {name} (the first time takes longer: weights are converted once)"
    ):
        return await load_model(name)


async def pull_with_progress(entry: CatalogEntry, *, console: Console) -> None:
    """Gets a model of the catalog under a progress bar."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("from {task.fields[source]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(entry.name, total=entry.size, source="...")

        def show(done: int, total: int, source: str) -> None:
            bar.update(task, completed=done, total=total, source=source)

        path = await ensure(entry, progress=show)
    console.print(f"{entry.name}: {path}", soft_wrap=True, highlight=False)


__all__ = ["DEFAULT_MODEL", "MODEL_HELP", "load_with_progress", "pull_with_progress"]

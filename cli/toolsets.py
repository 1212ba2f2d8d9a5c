"""The `--tools` option: from a word on the command line to a toolset."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from ..core import UsageError
from ..tools import Tool, Toolset, workspace

TOOLS_HELP = (
    "workspace:DIR, a FILE.json, or MODULE:NAME (a toolset or a list of tools); may be repeated."
)


AllowPython = Annotated[
    bool, typer.Option("--allow-python", help="Let a FILE.json name Python functions to call.")
]
AllowPrivateHosts = Annotated[
    bool,
    typer.Option(
        "--allow-private-hosts", help="Let a FILE.json reach private and local addresses."
    ),
]


def load_toolset(
    sources: Iterable[str], *, allow_python: bool, allow_private_hosts: bool
) -> Toolset:
    """Returns one toolset from all the sources.

    Args:
        sources: words as `TOOLS_HELP` says.
        allow_python: as for `Toolset.from_json`.
        allow_private_hosts: as for `Toolset.from_json`.

    Raises:
        UsageError: a source is not there or not one of the kinds.
        ToolLibraryError: a library has problems, or names collide.
    """
    toolsets = []
    for source in sources:
        if source.endswith(".json"):
            toolset = Toolset.from_json(
                Path(source), allow_python=allow_python, allow_private_hosts=allow_private_hosts
            )
        else:
            toolset = _load(source)
        toolsets.append(toolset)
    return Toolset.combine(*toolsets)


def _load(source: str) -> Toolset:
    kind, _, rest = source.partition(":")
    if kind == "workspace":
        return workspace(rest or ".")
    if rest and all(part.isidentifier() for part in kind.split(".")):
        return _from_module(kind, rest)
    raise UsageError(f"--tools {source!r}: expected {TOOLS_HELP}")


def _from_module(module_name: str, name: str) -> Toolset:
    sys.path.insert(0, "")  # modules in the current folder, as `python -m` finds them
    place = f"--tools {module_name}:{name}"
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever the code of the module raises
        message = f"{place}: importing {module_name!r} failed: {type(error).__name__}: {error}"
        raise UsageError(message) from None
    finally:
        sys.path.remove("")
    found = getattr(module, name, None)
    if found is None:
        raise UsageError(f"{place}: the module has no {name!r}")
    if isinstance(found, Toolset):
        return found
    if isinstance(found, Tool) or callable(found):
        return Toolset([found])
    if isinstance(found, str) or not isinstance(found, Iterable):
        raise UsageError(f"{place}: a toolset or a list of tools is expected, got {found!r}")
    return Toolset(found)

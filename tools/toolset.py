"""An ordered, checked set of tools."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..core import Problem, ToolLibraryError
from .function import tool as tool_of
from .library import collisions, tool_problems
from .loading import load_tools
from .spec import ToolSpec
from .tool import Tool


class Toolset:
    """Tools in a fixed order, each with a name of its own. It never changes.

    `tools` may hold functions as well; each becomes a tool as by `tool`.

    Raises:
        ToolLibraryError: something is wrong with the tools; all of it is listed.
    """

    def __init__(self, tools: Iterable[Tool | Callable[..., Any]]) -> None:
        self._tools = tuple(item if isinstance(item, Tool) else tool_of(item) for item in tools)
        places = [(f"$[{index}]", tool.spec.name) for index, tool in enumerate(self._tools)]
        problems = [
            problem
            for tool, (path, _) in zip(self._tools, places, strict=True)
            for problem in tool_problems(tool, path=path)
        ]
        _refuse("toolset", [*problems, *collisions(places, mend="rename one of them")])
        self._by_name = {tool.spec.name: tool for tool in self._tools}

    @classmethod
    def from_json(
        cls,
        source: str | Path | list[Any] | dict[str, Any],
        *,
        allow_python: bool = False,
        allow_private_hosts: bool = False,
    ) -> Toolset:
        """Returns the tools of a JSON file, whose path is given, or of such data.

        A library is a list of tools, ``{"tools": [...]}``, or one tool. A tool is ``{name, description, parameters}``,
        the same inside ``{"type": "function", "function": ...}`` (OpenAI), with ``input_schema`` (Anthropic) or with
        ``inputSchema`` (MCP, where the annotations ``readOnlyHint`` and ``destructiveHint`` tell the effect: they are
        believed, so read them before loading a library of somebody else's). It may have ``effect``, ``timeout_s``,
        ``demonstrations`` (a list of ``{request, arguments}``) and ``binding``; other keys are left alone.

        Args:
            source: where the library is.
            allow_python: whether bindings may import and run the Python functions that the file names.
            allow_private_hosts: whether bindings may reach private, loopback and link-local addresses.

        Raises:
            ToolLibraryError: the library was refused whole; everything that is wrong is listed with its JSON path.
        """
        tools = load_tools(
            source, allow_python=allow_python, allow_private_hosts=allow_private_hosts
        )
        return cls(tools)

    @classmethod
    def combine(cls, *toolsets: Toolset) -> Toolset:
        """Returns the tools of all toolsets, in order.

        Raises:
            ToolLibraryError: two toolsets have tools of the same name; `prefixed` mends that.
        """
        places = [
            (f"$[{number}][{index}]", spec.name)
            for number, toolset in enumerate(toolsets)
            for index, spec in enumerate(toolset.specs)
        ]
        mend = 'give one toolset a prefix: toolset.prefixed("other_")'
        _refuse("combined toolsets", collisions(places, mend=mend))
        return cls(tool for toolset in toolsets for tool in toolset)

    def prefixed(self, prefix: str) -> Toolset:
        """Returns the same tools with `prefix` before every name."""
        return Toolset(
            dataclasses.replace(
                tool, spec=dataclasses.replace(tool.spec, name=prefix + tool.spec.name)
            )
            for tool in self._tools
        )

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools' specs, in order."""
        return tuple(tool.spec for tool in self._tools)

    @property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 over the hashes of the specs, in order."""
        text = "\n".join(spec.hash for spec in self.specs)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def get(self, name: str) -> Tool | None:
        """Returns the tool of that name, or None where there is none."""
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    def __repr__(self) -> str:
        return f"Toolset({', '.join(self._by_name)})"


def _refuse(source: str, problems: list[Problem]) -> None:
    if problems:
        raise ToolLibraryError(source, tuple(problems))

"""How the tools of a workspace are made: a function that returns text, and what it takes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..spec import ToolSpec
from ..threads import run_in_thread
from ..tool import Tool


def reading_tool(
    function: Callable[..., str], description: str, **arguments: dict[str, Any]
) -> Tool:
    """Returns a tool of effect ``read`` that is named like the function and runs it in a thread.

    Args:
        function: Takes the arguments by name, and has the schemas' defaults.
        description: What tells the tool apart from its neighbours.
        arguments: Schema of each argument; those without a ``default`` are required.
    """
    spec = ToolSpec(
        name=function.__name__,
        description=description,
        parameters={
            "type": "object",
            "properties": arguments,
            "required": [name for name, schema in arguments.items() if "default" not in schema],
            "additionalProperties": False,
        },
        effect="read",
    )

    async def run(values: dict[str, Any]) -> str:
        return await run_in_thread(functools.partial(function, **values))

    return Tool(spec=spec, run=run)

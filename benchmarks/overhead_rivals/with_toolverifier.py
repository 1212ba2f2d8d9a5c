"""The two-step run with toolverifier: the request is taken apart, each part decided, called, and the whole answered."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import task

from toolverifier import Agent, ToolSpec, __version__, tool
from toolverifier.models import GenerateConfig, ModelOutput, Prompt, ScoreItem, Scores, Shape
from toolverifier.tools import Tool
from toolverifier.verification import DEFAULT_WEIGHTS, Weights

VERSION = __version__

_PARTS = ModelOutput(text=json.dumps(task.PARTS), stop="end")
_ANSWER = ModelOutput(text=task.ANSWER, stop="end")
_LIKELY = {
    *((part, name) for part, (name, _) in zip(task.PARTS, task.CALLS, strict=True)),
    *(
        (f"{part}\n\nValue of {argument}:", json.dumps(value))
        for part, (_, arguments) in zip(task.PARTS, task.CALLS, strict=True)
        for argument, value in arguments.items()
    ),
}
"""What is asked, at the end of a prompt, with the continuations that are right for it."""

_TWINS = "rainfall humidity wind_speed area elevation rent crime traffic schools parks hotels museums visitors"


class InstantModel:
    """Answers at once. `FunctionModel` would count tokens and check shapes, which is a model's time and not the loop's."""

    name = "instant"

    async def generate(
        self,
        prompt: Prompt,  # noqa: ARG002
        *,
        shape: Shape = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: ARG002
    ) -> ModelOutput:
        """Returns the parts where a shape is asked for, and the answer where text is."""
        return _ANSWER if shape is None else _PARTS

    async def score(self, items: Sequence[ScoreItem]) -> Scores:
        """Returns a high score for what is right and a low one for all else."""
        return Scores(
            values=tuple(
                -0.1 if (_asked(item), item.continuation) in _LIKELY else -30.0 for item in items
            ),
            tokens=(1,) * len(items),
        )

    async def aclose(self) -> None:
        """Holds nothing."""


def _asked(item: ScoreItem) -> str:
    return item.prompt[-1].content.rpartition("Request: ")[2]


def _twin(name: str) -> Tool:
    arguments = {"city": {"type": "string"}, "year": {"type": "integer"}}
    spec = ToolSpec(
        name=name,
        description=f"Returns the {name.replace('_', ' ')} of a city in a year.",
        parameters={"type": "object", "properties": arguments, "required": ["city", "year"]},
        effect="read",
    )
    return Tool(spec=spec)


def _serve(
    twins: Sequence[str] = (), weights: Weights = DEFAULT_WEIGHTS
) -> Callable[[], Awaitable[str | None]]:
    tools = [tool(effect="read")(function) for function in (task.temperature, task.population)]
    agent = Agent(InstantModel(), tools=[*tools, *map(_twin, twins)], weights=weights)

    async def serve() -> str | None:
        return (await agent.run(task.REQUEST)).answer

    return serve


VARIANTS = {
    "2 tools": _serve,
    "15 tools": lambda: _serve(_TWINS.split()),
    "15 tools, always looking again": lambda: _serve(
        _TWINS.split(), replace(DEFAULT_WEIGHTS, gate=1.1)
    ),
}

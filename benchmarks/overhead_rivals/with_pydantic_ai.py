"""The two-step run with pydantic-ai: two turns with a tool call, then one with the answer."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version

import task
from pydantic_ai import Agent, ModelMessage, ModelResponse, RequestUsage, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

VERSION = version("pydantic-ai-slim")
_USAGE = RequestUsage(input_tokens=1, output_tokens=1)
"""Given, so that the model need not count tokens."""


async def _respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:  # noqa: ARG001
    turn = len(messages) // 2
    if turn < len(task.CALLS):
        name, arguments = task.CALLS[turn]
        return ModelResponse(parts=[ToolCallPart(name, dict(arguments))], usage=_USAGE)
    return ModelResponse(parts=[TextPart(task.ANSWER)], usage=_USAGE)


def _serve() -> Callable[[], Awaitable[str]]:
    agent = Agent(FunctionModel(_respond), tools=[task.temperature, task.population])

    async def serve() -> str:
        return (await agent.run(task.REQUEST)).output

    return serve


VARIANTS = {"run": _serve}

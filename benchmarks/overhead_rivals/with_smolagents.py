"""The two-step run with smolagents: two turns with a tool call, then one that calls its `final_answer` tool."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import task
from smolagents import LogLevel, Model, ToolCallingAgent, tool
from smolagents.models import (
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
)

VERSION = version("smolagents")
_TURNS = (*task.CALLS, ("final_answer", {"answer": task.ANSWER}))


class InstantModel(Model):
    """Answers at once, by the number of tool results so far."""

    def generate(self, messages: list[ChatMessage], *_: Any, **__: Any) -> ChatMessage:
        """Returns the turn's tool call."""
        turn = sum(message.role == MessageRole.TOOL_RESPONSE for message in messages)
        name, arguments = _TURNS[turn]
        call = ChatMessageToolCall(
            function=ChatMessageToolCallFunction(name=name, arguments=dict(arguments)),
            id=str(turn),
            type="function",
        )
        return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=[call])


def _serve() -> Callable[[], Awaitable[str]]:
    agent = ToolCallingAgent(
        tools=[tool(task.temperature), tool(task.population)],
        model=InstantModel(),
        verbosity_level=LogLevel.OFF,
    )

    async def serve() -> str:
        return str(agent.run(task.REQUEST))

    return serve


VARIANTS = {"run": _serve}

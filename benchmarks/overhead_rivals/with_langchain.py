"""The two-step run with LangChain's `create_agent`: two turns with a tool call, then one with the answer."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import task
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

VERSION = version("langchain")


class InstantModel(BaseChatModel):
    """Answers at once, by the number of messages so far."""

    @property
    def _llm_type(self) -> str:
        return "instant"

    def bind_tools(self, tools: Any, **_: Any) -> "InstantModel":  # noqa: ARG002
        """Needs no tools."""
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        turn = len(messages) // 2
        if turn < len(task.CALLS):
            name, arguments = task.CALLS[turn]
            call = {"name": name, "args": dict(arguments), "id": str(turn)}
            message = AIMessage(content="", tool_calls=[call])
        else:
            message = AIMessage(content=task.ANSWER)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return self._generate(messages)


_AGENT = create_agent(InstantModel(), [task.temperature, task.population])
_REQUEST = {"messages": [{"role": "user", "content": task.REQUEST}]}


def _sync() -> Callable[[], Awaitable[str]]:
    async def serve() -> str:
        return _AGENT.invoke(_REQUEST)["messages"][-1].content

    return serve


def _async() -> Callable[[], Awaitable[str]]:
    async def serve() -> str:
        return (await _AGENT.ainvoke(_REQUEST))["messages"][-1].content

    return serve


VARIANTS = {"invoke": _sync, "ainvoke": _async}

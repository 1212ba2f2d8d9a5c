"""Messages in the form that OpenAI-compatible servers take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..core import Message


def as_json(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Returns the messages with their tool calls as plain JSON data."""
    return [_one(message) for message in messages]


def _one(message: Message) -> dict[str, Any]:
    data: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        data["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.arguments, ensure_ascii=False),
                },
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        data["tool_call_id"] = message.tool_call_id
    return data

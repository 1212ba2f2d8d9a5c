"""llama.cpp's own interface before a server that can do as much of it as a score needs."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from toolverifier.core import Message
from toolverifier.models import OpenAIModel, ScoreItem

from .raw_server import Request, response, serving


def reply_to(request: Request) -> Any:
    """Tokens are characters, each of log probability -1; a turn ends with ``#``."""
    body = request.body
    if request.path == "/apply-template":
        return {"prompt": "".join(message["content"] for message in body["messages"])}
    if request.path == "/tokenize":
        return {"tokens": [ord(character) for character in body["content"]]}
    if request.path == "/props":
        return {"eos_token": "#"}
    taken = [int(token) for token in re.findall(r"<\[(\d+)\]>", body["grammar"])]
    taken += [token for token, _ in body.get("logit_bias", [])]
    return {
        "content": "",
        "stop_type": "eos",
        "tokens_predicted": len(taken),
        "tokens_evaluated": len(body["prompt"]),
        "completion_probabilities": [{"id": token, "logprob": -1.0} for token in taken],
    }


async def test_prompts_are_rendered_side_by_side_and_remembered():
    at_once = most = 0

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once, most
        at_once += request.path == "/apply-template"
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= request.path == "/apply-template"
        writer.write(response(reply_to(request)))

    chats = [(Message(role="user", content=f"{number}?"),) for number in range(4)]
    items = [ScoreItem(prompt=chat, continuation=" yes", end=True) for chat in chats]
    async with serving(answer) as server:
        model = OpenAIModel("llama", base_url=server.url)
        first, again = await asyncio.gather(model.score(items[:1]), model.score(items[:1]))
        scores = await model.score([*items, *items])
        await model.aclose()
        rendered = [one.body["messages"][0]["content"] for one in server.asked("/apply-template")]
        probes = [
            one for one in server.asked("/completion") if bytes(one.body["prompt"]) == b"1 2 3"
        ]
        ends = server.asked("/props")
    assert (first.values, again.values) == ((-5.0,), (-5.0,))
    assert (scores.values, scores.tokens) == ((-5.0,) * 8, (5,) * 8)
    # The interface and what a score can do are found out once, by the calls that came together.
    assert (rendered.count("1"), len(probes), len(ends)) == (1, 1, 1)
    assert [rendered.count(f"{number}?") for number in range(1, 4)] == [1] * 3
    assert most == 3

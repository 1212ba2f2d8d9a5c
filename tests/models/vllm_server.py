"""A loopback server with vLLM's interface over the tiny model, or with parts of it missing."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any

from . import tiny
from .raw_server import Request, response


@dataclass
class VllmServer:
    """Answers requests as vLLM does. Each field takes a part of that away."""

    tokenizes: bool = True
    generates_nothing: bool = True
    """Whether it takes ``max_tokens=0``."""
    echoes: bool = True
    prompt_logprobs: bool = True
    choices_field: str | None = "structured_outputs"
    schemas: bool = True
    goes_on: bool = True
    """Whether it knows the fields that ask to go on from a begun turn."""
    vocabulary: list[str] = field(default_factory=list)

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        status, body = self._answer(request.path, request.body)
        writer.write(response(body, status=status))

    def _answer(self, path: str, body: Any) -> tuple[int, Any]:
        known = {"model", "prompt", "messages", "max_tokens", "temperature", "seed", "stop"}
        known |= {"logprobs", "top_logprobs", "echo", "prompt_logprobs"}
        known |= {"response_format"} if self.schemas else set()
        known |= {self.choices_field} if self.choices_field else set()
        known |= {"continue_final_message", "add_generation_prompt"} if self.goes_on else set()
        if unknown := sorted(set(body) - known):
            return 400, {"error": {"message": f"Unrecognized request argument: {unknown[0]}"}}
        if path == "/tokenize" and self.tokenizes:
            return 200, {"tokens": self._ids(self._text(body)), "max_model_len": 2048}
        if path == "/v1/completions":
            return self._completion(body)
        if path == "/v1/chat/completions":
            return self._chat(body)
        return 404, {"detail": "Not Found"}

    def _text(self, body: Any) -> str:
        if "messages" in body:
            return tiny.rendered(
                body["messages"],
                begins=body.get("add_generation_prompt", True),
                goes_on=body.get("continue_final_message", False),
            )
        prompt = body["prompt"]
        return prompt if isinstance(prompt, str) else "".join(self.vocabulary[i] for i in prompt)

    def _ids(self, text: str) -> list[int]:
        for token in tiny.tokens_of(text):
            if token not in self.vocabulary:
                self.vocabulary.append(token)
        return [self.vocabulary.index(token) for token in tiny.tokens_of(text)]

    def _generated(self, body: Any) -> tuple[list[str], str, str | None]:
        """Returns the new tokens, the finish reason and the stop string that ended them."""
        shape = body.get("response_format", {}).get("json_schema", {}).get("schema")
        if self.choices_field and self.choices_field in body:
            asked = body[self.choices_field]
            shape = asked if isinstance(asked, list) else asked.get("choice")
        if shape is not None:
            tokens = tiny.tokens_of(tiny.shaped(shape))
            cut = tokens[: body["max_tokens"]]
            return cut, "stop" if cut == tokens else "length", None
        seed = body.get("seed", 0) if body.get("temperature") else 0
        tokens = tiny.generate(self._text(body), max_tokens=body["max_tokens"], seed=seed)
        text = "".join(tokens)
        for stop in body.get("stop", ()):
            if stop in text:
                return tiny.tokens_of(text[: text.index(stop)]) or [""], "stop", stop
        return tokens, "length", None

    def _completion(self, body: Any) -> tuple[int, Any]:
        if body["max_tokens"] == 0 and not (self.generates_nothing and body.get("echo")):
            return 400, {"error": {"message": "max_tokens must be at least 1, got 0"}}
        prompt = tiny.tokens_of(self._text(body))
        new, finish_reason, stop_reason = self._generated(body)
        echoed = prompt if body.get("echo") and self.echoes else []
        choice: dict[str, Any] = {
            "index": 0,
            "text": "".join(echoed + new),
            "finish_reason": finish_reason,
            "stop_reason": stop_reason,
            "logprobs": None,
        }
        befores = [None, *prompt] if echoed else [prompt[-1] if prompt else ""]
        tokens = echoed + new
        befores = [*befores, *new][: len(tokens)]
        if "logprobs" in body:
            values = [
                None if before is None else tiny.logprob(before, token)
                for before, token in zip(befores, tokens, strict=True)
            ]
            choice["logprobs"] = {
                "tokens": tokens,
                "token_logprobs": values,
                "top_logprobs": [
                    None if value is None else {token: value}
                    for token, value in zip(tokens, values, strict=True)
                ],
                "text_offset": [len("".join(tokens[:place])) for place in range(len(tokens))],
            }
        if "prompt_logprobs" in body and self.prompt_logprobs:
            places = itertools.pairwise(prompt)
            choice["prompt_logprobs"] = [
                None,
                *(
                    {
                        str(self._ids(token)[0]): {
                            "logprob": tiny.logprob(before, token),
                            "rank": 1,
                            "decoded_token": token,
                        }
                    }
                    for before, token in places
                ),
            ]
        return 200, {"choices": [choice], "usage": _usage(prompt, new)}

    def _chat(self, body: Any) -> tuple[int, Any]:
        new, finish_reason, stop_reason = self._generated(body)
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": "".join(new)},
            "finish_reason": finish_reason,
            "stop_reason": stop_reason,
        }
        if body.get("logprobs"):
            chance = {"token": new[0], "logprob": -0.5}
            choice["logprobs"] = {"content": [{**chance, "top_logprobs": [chance]}]}
        usage = _usage(tiny.tokens_of(self._text(body)), new)
        return 200, {"choices": [choice], "usage": usage}


def _usage(prompt: list[str], new: list[str]) -> dict[str, Any]:
    return {
        "prompt_tokens": len(prompt),
        "completion_tokens": len(new),
        "prompt_tokens_details": {"cached_tokens": len(prompt) // 2},
    }

"""Servers that speak OpenAI's interface: what each of them can do is found out once, by asking."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ..core import Message, ModelError, Usage
from .base import GenerateConfig, ModelOutput, Prompt, Shape
from .llama_cpp import choice_grammar
from .messages import as_json
from .replies import Choice, Completion, read_as
from .server import RefusedError, Server
from .shapes import cut_at_stop, misfit

_MOST_STOPS = 4
"""Stop strings that hosted servers take; texts are cut at the others here."""

_PROBE = "Say hello."
_PROBE_CHAT = (Message(role="user", content=_PROBE),)
_PROBE_CHOICES = ("qvxz", "zxvq")
"""No model says this unless it must."""
_PROBE_SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": list(_PROBE_CHOICES)}},
    "required": ["answer"],
    "additionalProperties": False,
}
_PROBE_CONFIG = GenerateConfig(max_tokens=48)

Way = Callable[[Any], dict[str, Any]]
"""Returns the fields of a request that ask for a shape."""


def _by_response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    named = {"name": "answer", "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _by_wrapped_choice(choices: Sequence[str]) -> dict[str, Any]:
    return _by_response_format(
        {
            "type": "object",
            "properties": {"answer": {"type": "string", "enum": list(choices)}},
            "required": ["answer"],
            "additionalProperties": False,
        }
    )


_SCHEMA_WAYS: tuple[Way, ...] = (
    _by_response_format,
    lambda schema: {"structured_outputs": {"json": schema}},
    lambda schema: {"guided_json": schema},
    lambda schema: {"json_schema": schema},
)
_CHOICE_WAYS: tuple[Way, ...] = (
    lambda choices: {"structured_outputs": {"choice": list(choices)}},
    lambda choices: {"guided_choice": list(choices)},
    lambda choices: {"grammar": choice_grammar(choices)},
    _by_wrapped_choice,
)
_WRAPPING_TOKENS = 16
"""Room for the JSON around a wrapped choice."""


def _rename_max_tokens(body: dict[str, Any]) -> None:
    if "max_tokens" in body:
        body["max_completion_tokens"] = body.pop("max_tokens")


def _drop(*names: str) -> Callable[[dict[str, Any]], None]:
    def drop(body: dict[str, Any]) -> None:
        for name in names:
            body.pop(name, None)

    return drop


_CONCESSIONS: tuple[tuple[str, Callable[[dict[str, Any]], None]], ...] = (
    ("max_completion_tokens", _rename_max_tokens),
    ("top_logprobs", _drop("logprobs", "top_logprobs")),
    ("logprobs", _drop("logprobs", "top_logprobs")),
    ("continue_final_message", _drop("continue_final_message", "add_generation_prompt")),
    ("add_generation_prompt", _drop("continue_final_message", "add_generation_prompt")),
    ("seed", _drop("seed")),
    ("temperature", _drop("temperature")),
)
"""What is asked differently once a refusal names the field. The first entry is named by servers that want it; servers
of reasoning models take no temperature but their own."""


class _NoTextError(ModelError):
    """The answer has no text, as when reasoning used up its tokens."""


class Compatible:
    """`generate` over ``/chat/completions`` and ``/completions``."""

    def __init__(self, server: Server, model: str) -> None:
        self._server = server
        self._model = model
        self._conceded: list[Callable[[dict[str, Any]], None]] = []
        self._ways: dict[tuple[str, str], Way | None] = {}

    async def generate(self, prompt: Prompt, shape: Shape, config: GenerateConfig) -> ModelOutput:
        """Returns text after the prompt, held to the shape by the server.

        Raises:
            RefusedError: the server has no way to hold a text to this shape.
        """
        if shape is None:
            return await self._ask(prompt, {}, config)
        way = await self._way(prompt, shape)
        if way is None:
            raise RefusedError("this server has no structured outputs", status=0)
        return await self._shaped(prompt, shape, way, config)

    async def _shaped(
        self, prompt: Prompt, shape: Shape, way: Way, config: GenerateConfig
    ) -> ModelOutput:
        wrapped = way is _by_wrapped_choice
        room = config.max_tokens + (_WRAPPING_TOKENS if wrapped else 0)
        unstopped = GenerateConfig(
            max_tokens=room,
            temperature=config.temperature,
            seed=config.seed,
            top_logprobs=0 if wrapped else config.top_logprobs,
        )
        output = await self._ask(prompt, way(shape), unstopped)
        if not wrapped:
            return output
        try:
            text = str(json.loads(output.text)["answer"])
        except (ValueError, LookupError, TypeError, RecursionError):
            text = output.text
        return ModelOutput(text=text, stop=output.stop, usage=output.usage)

    async def _way(self, prompt: Prompt, shape: Shape) -> Way | None:
        """Returns how this server is asked for such a shape, found out at the first use; None where it cannot."""
        kind = "choices" if isinstance(shape, tuple) else "schema"
        place: Literal["text", "chat"] = "text" if isinstance(prompt, str) else "chat"
        if (place, kind) not in self._ways:
            self._ways[place, kind] = await self._server.found_out(
                f"{kind} in {place}", lambda: self._find_way(prompt, kind)
            )
        return self._ways[place, kind]

    async def _find_way(self, prompt: Prompt, kind: str) -> Way | None:
        ways, shape = (
            (_CHOICE_WAYS, _PROBE_CHOICES) if kind == "choices" else (_SCHEMA_WAYS, _PROBE_SCHEMA)
        )
        probe: Prompt = _PROBE if isinstance(prompt, str) else _PROBE_CHAT
        for way in ways:
            try:
                output = await self._shaped(probe, shape, way, _PROBE_CONFIG)
            except RefusedError as error:
                if error.is_about_the_key:
                    raise
                continue
            except _NoTextError:
                continue
            if misfit(output.text, shape) is None:
                return way
        return None

    async def _ask(
        self, prompt: Prompt, fields: Mapping[str, Any], config: GenerateConfig
    ) -> ModelOutput:
        path, body = self._request(prompt, config)
        body.update(fields)
        reply = await self._post(path, body)
        completion = read_as(Completion, reply, what=path)
        choice = completion.choices[0]
        text = choice.said
        if text is None:
            raise _NoTextError(
                f"{path}: the answer has no text (finish_reason {choice.finish_reason!r})"
            )
        begun = _begun(prompt)
        if begun:
            text = text.removeprefix(begun)
        text, cut = cut_at_stop(text, config)
        return ModelOutput(
            text=text,
            stop="stop_string" if cut else _stop(choice, config),
            first_token=choice.logprobs.first_token()
            if choice.logprobs and config.top_logprobs
            else {},
            usage=usage_of(completion),
        )

    def _request(self, prompt: Prompt, config: GenerateConfig) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": config.max_tokens,
            "temperature": config.temperature,
            "seed": config.seed,
        }
        if config.stop:
            body["stop"] = list(config.stop[:_MOST_STOPS])
        if isinstance(prompt, str):
            if config.top_logprobs:
                body["logprobs"] = config.top_logprobs
            return "/completions", {**body, "prompt": prompt}
        if config.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": config.top_logprobs}
        if _begun(prompt) is not None:
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return "/chat/completions", {**body, "messages": as_json(prompt)}

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        """Posts the body; where a refusal names a field that can be done without, concedes it, now and later."""
        for concede in self._conceded:
            concede(body)
        while True:
            try:
                return await self._server.post(path, body)
            except RefusedError as error:
                concession = _concession(str(error), body)
                if concession is None:
                    raise
                concession(body)
                if concession not in self._conceded:
                    self._conceded.append(concession)


def usage_of(completion: Completion) -> Usage:
    """Returns the reply's usage as one model call; a server that reports none is counted with no tokens."""
    return completion.usage.usage() if completion.usage else Usage(model_calls=1)


def _concession(refusal: str, body: Mapping[str, Any]) -> Callable[[dict[str, Any]], None] | None:
    for name, concede in _CONCESSIONS:
        changed = dict(body)
        concede(changed)
        if name in refusal and changed != body:
            return concede
    return None


def _begun(prompt: Prompt) -> str | None:
    """Returns the beginning of the assistant's turn that the model goes on from, or None where there is none."""
    if isinstance(prompt, str) or not prompt or prompt[-1].role != "assistant":
        return None
    return prompt[-1].content


def _stop(choice: Choice, config: GenerateConfig) -> Literal["end", "length", "stop_string"]:
    if choice.finish_reason == "length":
        return "length"
    if not config.stop or (choice.tells_stop_string and not isinstance(choice.stop_reason, str)):
        return "end"
    return "stop_string"

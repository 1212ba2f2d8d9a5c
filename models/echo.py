"""Log-likelihoods of given text from servers that report the log probabilities of a prompt's own tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core import Message, ModelError, NotSupportedError, Usage, gather_bounded
from .base import Prompt, ScoreItem, Scores
from .compatible import usage_of
from .llama_cpp import total
from .messages import as_json
from .replies import Completion, Tokenized, read_as
from .server import RefusedError, Server
from .tokens import TokenizedPrompts, common_length

_FORMS: tuple[dict[str, Any], ...] = (
    {"echo": True, "logprobs": 1, "max_tokens": 0},
    {"echo": True, "logprobs": 1, "max_tokens": 1},
    {"prompt_logprobs": 0, "max_tokens": 1},
)
"""Ways to ask for a prompt's log probabilities; some servers refuse to generate nothing."""

_PROBE = "1 2 3"


@dataclass(frozen=True, kw_only=True)
class _Echo:
    """A prompt's tokens as the server read them. Lists are of one length."""

    logprobs: list[float | None]
    ends: list[int] | None
    """Where each token ends in the text, where the server tells."""
    usage: Usage


class EchoScorer:
    """`score` over ``/completions`` with echoed log probabilities.

    With a server that tokenizes on request (vLLM) prompts go as token ids, chats and the end of a turn included.
    Otherwise strings alone can be scored, and the reported offsets tell where the continuation begins. A token that
    straddles prompt and continuation counts wholly.
    """

    def __init__(self, server: Server, model: str, *, max_connections: int) -> None:
        self._server = server
        self._model = model
        self._max_connections = max_connections
        self._prompts = TokenizedPrompts(self._tokens, max_connections=max_connections)
        self._form: dict[str, Any] | None = None
        self._tokenizes = False
        self._cannot_score: str | None = None
        self._end_id: int | None = None

    async def score(self, items: Sequence[ScoreItem]) -> Scores:
        """Returns the log-likelihoods, one request an item.

        Raises:
            NotSupportedError: the server reports no log probabilities of prompts (found out once), or an item is a
                chat or wants the end, and the server renders and tokenizes nothing.
        """
        await self._find_out()
        if not self._tokenizes:
            for item in items:
                if item.end or not isinstance(item.prompt, str):
                    raise NotSupportedError(
                        f"the server at {self._server.base_url} scores plain text alone: it has no /tokenize, "
                        "which chats and the end of a turn need"
                    )
        prefixes = await self._prompts.of(item.prompt for item in items if self._tokenizes)

        async def one(item: ScoreItem) -> tuple[float, int, Usage]:
            if self._tokenizes:
                return await self._score_tokens(prefixes[item.prompt], item)
            return await self._score_text(item)

        return total(await gather_bounded(items, one, limit=self._max_connections))

    async def _score_tokens(self, prefix: list[int], item: ScoreItem) -> tuple[float, int, Usage]:
        full = await self._tokens(item.prompt, item.continuation) if item.continuation else prefix
        start = common_length(prefix, full)
        if start < len(prefix) - 1:
            raise NotSupportedError(
                "the chat template renders a begun turn otherwise than a new one, so nothing after it can be scored"
            )
        if item.end:
            full = [*full, await self._end()]
        echo = await self._echo(full)
        if len(echo.logprobs) != len(full):
            raise ModelError(
                f"/completions: {len(full)} tokens were sent and {len(echo.logprobs)} came back"
            )
        return _summed(echo.logprobs[start:], echo.usage)

    async def _score_text(self, item: ScoreItem) -> tuple[float, int, Usage]:
        text = f"{item.prompt}{item.continuation}"
        echo = await self._echo(text)
        if not echo.ends or echo.ends[-1] < len(text):
            raise ModelError("/completions: the reported offsets do not reach the end of the text")
        # Counted from the end: a token before the text, which some servers add, shifts the offsets.
        start = echo.ends[-1] - len(item.continuation)
        inside = [value for value, end in zip(echo.logprobs, echo.ends, strict=True) if end > start]
        return _summed(inside, echo.usage)

    async def _find_out(self) -> None:
        """Finds out, once, whether and how this server scores."""
        if self._form is None and self._cannot_score is None:
            await self._server.found_out("echo", self._find_form)
        if self._cannot_score is not None:
            raise NotSupportedError(self._cannot_score)

    async def _find_form(self) -> None:
        for form in _FORMS:
            try:
                await self._echo(_PROBE, form)
            except RefusedError as error:
                if error.is_about_the_key:
                    raise
                continue
            except NotSupportedError:
                continue
            self._tokenizes = await self._has_tokenizer()
            self._form = form
            return
        self._cannot_score = f"the server at {self._server.base_url} does not report the log probabilities of a prompt"

    async def _has_tokenizer(self) -> bool:
        try:
            return bool(await self._tokens(_PROBE))
        except RefusedError:
            return False
        except ModelError as error:
            if error.retryable:
                raise
            return False

    async def _echo(self, prompt: str | list[int], form: dict[str, Any] | None = None) -> _Echo:
        """Returns the prompt's tokens.

        Raises:
            NotSupportedError: the reply has none of them.
        """
        fields = form or self._form or {}
        body = {"model": self._model, "prompt": prompt, "temperature": 0.0, **fields}
        reply = await self._server.post("/completions", body)
        completion = read_as(Completion, reply, what="/completions")
        choice, usage = completion.choices[0], usage_of(completion)
        if choice.prompt_logprobs is not None and "prompt_logprobs" in fields:
            if isinstance(prompt, str) and any(
                len(place or {}) > 1 for place in choice.prompt_logprobs
            ):
                raise NotSupportedError(
                    "the server does not say which of several tokens is the prompt's"
                )
            return _Echo(
                logprobs=_of_prompt(choice.prompt_logprobs, prompt), ends=None, usage=usage
            )
        found = choice.logprobs
        if found is None or found.tokens is None or found.token_logprobs is None:
            raise NotSupportedError("the reply has no log probabilities of the prompt")
        count = completion.usage.prompt_tokens if completion.usage else len(found.tokens)
        logprobs, tokens = found.token_logprobs[:count], found.tokens[:count]
        offsets = (found.text_offset or [])[:count]
        if not (len(logprobs) == len(tokens) == count) or not (choice.text or "").strip():
            raise NotSupportedError("the reply has no log probabilities of the prompt")
        ends = [*offsets[1:], offsets[-1] + len(tokens[-1])] if len(offsets) == count > 0 else None
        return _Echo(logprobs=logprobs, ends=ends, usage=usage)

    async def _tokens(self, prompt: Prompt, continuation: str = "") -> list[int]:
        """Returns the ids of prompt and continuation, rendered by the server where it is a chat."""
        if isinstance(prompt, str):
            return await self._tokenize({"prompt": prompt + continuation})
        begun = prompt[-1].content if prompt and prompt[-1].role == "assistant" else None
        if begun is None and not continuation:
            return await self._tokenize(
                {"messages": as_json(prompt), "add_generation_prompt": True}
            )
        before = prompt if begun is None else prompt[:-1]
        last = Message(role="assistant", content=(begun or "") + continuation)
        return await self._tokenize(
            {
                "messages": as_json((*before, last)),
                "add_generation_prompt": False,
                "continue_final_message": True,
            }
        )

    async def _tokenize(self, body: dict[str, Any]) -> list[int]:
        reply = await self._server.post("//tokenize", {"model": self._model, **body})
        return read_as(Tokenized, reply, what="/tokenize").tokens

    async def _end(self) -> int:
        """Returns the token that ends a turn."""
        if self._end_id is None:
            self._end_id = await self._server.found_out("end", self._find_end)
        return self._end_id

    async def _find_end(self) -> int:
        """Returns what follows a turn once it is closed."""
        turn = (Message(role="user", content="1"), Message(role="assistant", content="2"))
        begun = await self._tokens(turn)
        closed = await self._tokenize({"messages": as_json(turn), "add_generation_prompt": False})
        if len(closed) <= len(begun) or closed[: len(begun)] != begun:
            raise NotSupportedError("the chat template does not show how a turn ends")
        return closed[len(begun)]


def _of_prompt(places: Sequence[Any], prompt: str | list[int]) -> list[float | None]:
    """Returns the prompt's own token of every place; a place can hold more probable ones besides."""
    values: list[float | None] = []
    for number, place in enumerate(places):
        if not place:
            values.append(None)
        elif isinstance(prompt, str):
            values.append(next(iter(place.values())).logprob)
        else:
            token = place.get(str(prompt[number])) if number < len(prompt) else None
            values.append(token.logprob if token else None)
    return values


def _summed(values: Sequence[float | None], usage: Usage) -> tuple[float, int, Usage]:
    if not values or any(value is None for value in values):
        raise ModelError(
            "the server gives no log probability for a token of the continuation; the first token of a text has "
            "none, so give a prompt before it"
        )
    return min(sum(value for value in values if value is not None), 0.0), len(values), usage

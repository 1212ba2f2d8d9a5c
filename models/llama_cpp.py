"""llama.cpp's own server, through its own interface, which says more than the OpenAI-compatible one.

It renders chat templates (``/apply-template``), constrains plain completions too, tells stop strings from the end of
a turn, and can be led along given tokens, which makes exact scores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..core import ModelError, NotSupportedError, Usage, gather_bounded
from .base import GenerateConfig, ModelOutput, Prompt, ScoreItem, Scores, Shape
from .messages import as_json
from .replies import LlamaCompletion, Properties, Rendered, Tokenized, chances, read_as
from .server import RefusedError, Server
from .shapes import cut_at_stop
from .tokens import TokenizedPrompts, common_length

_PROBE = ScoreItem(prompt="1 2 3", continuation=" 4", end=True)


class LlamaCpp:
    """The two verbs over llama.cpp's ``/apply-template``, ``/tokenize`` and ``/completion``.

    `score` leads the model along the continuation's tokens by a grammar of token ids and reads each one's log
    probability over the whole vocabulary. The prompt is cached by the server; each token of the continuation costs
    one decoded token, and is counted as generated.
    """

    def __init__(self, server: Server, model: str, *, max_connections: int) -> None:
        self._server = server
        self._model = model
        self._max_connections = max_connections
        self._prompts = TokenizedPrompts(self._read, max_connections=max_connections)
        self._end_id: int | None = None
        self._cannot_score: str | None = None

    @staticmethod
    async def answers_at(server: Server, model: str) -> bool:
        """Returns whether the server is llama.cpp's.

        Raises:
            ModelError: it gave no answer from which that could be told.
        """
        body = {"model": model, "messages": [{"role": "user", "content": "1"}]}
        try:
            reply = await server.ask_once("//apply-template", body)
        except RefusedError as error:
            if error.is_about_the_key:
                raise
            return False
        return isinstance(reply, dict) and isinstance(reply.get("prompt"), str)

    async def generate(self, prompt: Prompt, shape: Shape, config: GenerateConfig) -> ModelOutput:
        """Returns text after the prompt, held to the shape by a grammar."""
        body = {
            "model": self._model,
            "prompt": await self._rendered(prompt),
            "n_predict": config.max_tokens,
            "temperature": config.temperature,
            "seed": config.seed,
            "n_probs": config.top_logprobs,
            "stop": list(config.stop) if shape is None else [],
            "top_k": 0,
            "top_p": 1.0,
            "min_p": 0.0,
            **_constraint(shape),
        }
        reply = await self._completion(body)
        text, cut = cut_at_stop(reply.content, config) if shape is None else (reply.content, False)
        stopped = cut or reply.stop_type == "word"
        places = reply.completion_probabilities if config.top_logprobs else []
        return ModelOutput(
            text=text,
            stop="stop_string" if stopped else "length" if reply.stop_type == "limit" else "end",
            first_token=chances(places[0].top_logprobs) if places else {},
            usage=reply.usage(),
        )

    async def score(self, items: Sequence[ScoreItem]) -> Scores:
        """Returns exact log-likelihoods, one request an item.

        Raises:
            NotSupportedError: this release of the server has no grammars of token ids; found out once.
        """
        await self._check_that_it_scores()
        prefixes = await self._prompts.of(item.prompt for item in items)

        async def one(item: ScoreItem) -> tuple[float, int, Usage]:
            text, prefix = prefixes[item.prompt]
            return await self._score_one(text, prefix, item)

        results = await gather_bounded(items, one, limit=self._max_connections)
        return total(results)

    async def _score_one(
        self, text: str, prefix: list[int], item: ScoreItem
    ) -> tuple[float, int, Usage]:
        full = await self._tokens(text + item.continuation)
        start = common_length(prefix, full)
        if start == 0:
            raise ModelError("a score needs a prompt of at least one token before the continuation")
        wanted = full[start:]
        body: dict[str, Any] = {
            "model": self._model,
            "prompt": full[:start],
            "n_predict": len(wanted) + item.end,
            "temperature": 0.0,
            "n_probs": 1,
            "grammar": "root ::= " + (" ".join(f"<[{token}]>" for token in wanted) or '""'),
        }
        if item.end:
            # The grammar lets any end token follow; this picks the one that ends a turn. Reported log probabilities
            # are those before biases and grammar.
            end_id = await self._end()
            body["logit_bias"] = [[end_id, 1000.0]]
            wanted = [*wanted, end_id]
        reply = await self._completion(body)
        places = reply.completion_probabilities
        if [place.id for place in places] != wanted:
            raise ModelError(
                f"the server was led along tokens {wanted} and took {[p.id for p in places]}"
            )
        return min(sum(place.logprob for place in places), 0.0), len(wanted), reply.usage()

    async def _check_that_it_scores(self) -> None:
        if self._cannot_score is None:
            self._cannot_score = await self._server.found_out("scores", self._try_to_score)
        if self._cannot_score:
            raise NotSupportedError(self._cannot_score)

    async def _try_to_score(self) -> str:
        """Returns why this server cannot score, or an empty text where it can."""
        try:
            await self._score_one(*await self._read(_PROBE.prompt), _PROBE)
        except ModelError as error:
            if error.retryable or (isinstance(error, RefusedError) and error.is_about_the_key):
                raise
            return f"this llama.cpp server cannot be led along tokens: {error}"
        return ""

    async def _completion(self, body: Mapping[str, Any]) -> LlamaCompletion:
        reply = await self._server.post("//completion", body)
        return read_as(LlamaCompletion, reply, what="/completion")

    async def _rendered(self, prompt: Prompt) -> str:
        if isinstance(prompt, str):
            return prompt
        body = {"model": self._model, "messages": as_json(prompt)}
        reply = await self._server.post("//apply-template", body)
        return read_as(Rendered, reply, what="/apply-template").prompt

    async def _read(self, prompt: Prompt) -> tuple[str, list[int]]:
        """Returns the prompt's text and its tokens."""
        text = await self._rendered(prompt)
        return text, await self._tokens(text)

    async def _tokens(self, text: str) -> list[int]:
        body = {"model": self._model, "content": text, "add_special": True, "parse_special": True}
        reply = await self._server.post("//tokenize", body)
        return read_as(Tokenized, reply, what="/tokenize").tokens

    async def _end(self) -> int:
        """Returns the token that ends a turn."""
        if self._end_id is None:
            reply = await self._server.get("//props")
            text = read_as(Properties, reply, what="/props").eos_token
            self._end_id = (await self._tokens(text))[-1]
        return self._end_id


def _constraint(shape: Shape) -> dict[str, Any]:
    if shape is None:
        return {}
    if isinstance(shape, Mapping):
        # The server's grammar lets blank lines stand between values, and small models fill the page with them. JSON
        # strings hold no bare line feed, so nothing is lost.
        return {"json_schema": shape, "logit_bias": [["\n", False], ["\n\n", False]]}
    return {"grammar": choice_grammar(shape)}


def choice_grammar(choices: Sequence[str]) -> str:
    """Returns the choices as a grammar in llama.cpp's notation."""
    return "root ::= " + " | ".join(json.dumps(choice, ensure_ascii=False) for choice in choices)


def total(results: Sequence[tuple[float, int, Usage]]) -> Scores:
    """Returns the items' values, token counts and usages as the scores of one call."""
    usage = sum((usage for _, _, usage in results), Usage())
    return Scores(
        values=tuple(value for value, _, _ in results),
        tokens=tuple(count for _, count, _ in results),
        usage=Usage(
            computed_tokens=usage.computed_tokens,
            reused_tokens=usage.reused_tokens,
            generated_tokens=usage.generated_tokens,
            model_calls=1,
        ),
    )

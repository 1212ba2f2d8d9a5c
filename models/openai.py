"""Models behind a server that speaks OpenAI's interface: vLLM, SGLang, Ollama, llama.cpp, hosted ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..core import Message, ModelError
from .base import GenerateConfig, ModelOutput, Prompt, ScoreItem, Scores, Shape
from .compatible import Compatible
from .echo import EchoScorer
from .llama_cpp import LlamaCpp
from .retry import RetryPolicy
from .scripted import check_items
from .server import RefusedError, Server
from .shapes import check_shape, misfit


class OpenAIModel:
    """A model behind an OpenAI-compatible server.

    What the server can do beyond plain text (structured outputs, log probabilities, scores, going on from a begun
    turn) is found out at the first use, by asking with a tiny request, and remembered. Where it cannot hold a text to
    a shape, the shape goes into the prompt and the text is asked for again once if it does not fit. Text is always
    checked against its shape, and `ModelError` raised where it does not have it. llama.cpp's server is recognised and
    asked through its own, more exact interface.

    `score` needs a server that reports the log probabilities of given text (vLLM, llama.cpp); hosted chat models do
    not, and `NotSupportedError` says so. Where a token straddles prompt and continuation, it counts wholly.

    Where the server does not tell why it stopped and stop strings were given, the stop counts as theirs. Usage is what
    the server reports. The key goes to this server alone: redirects are not followed.

    Args:
        model: The model's name at the server.
        base_url: Such as ``http://localhost:8000/v1``; a URL without a path gets ``/v1``.
        api_key_env: Name of the environment variable that holds the key. Without such a variable no key is sent.
        timeout_s: Seconds that one attempt may take.
        max_connections: Requests under way at once.
        retry: How often and how patiently to try again after 429, 5xx, broken connections and timeouts.

    Raises:
        UsageError: `base_url` is none, or holds a secret.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str,
        api_key_env: str = "OPENAI_API_KEY",
        timeout_s: float = 60.0,
        max_connections: int = 16,
        retry: RetryPolicy = RetryPolicy(),
    ) -> None:
        self._model = model
        self._server = Server(
            base_url,
            api_key_env=api_key_env,
            timeout_s=timeout_s,
            max_connections=max_connections,
            retry=retry,
        )
        self._llama_cpp = LlamaCpp(self._server, model, max_connections=max_connections)
        self._compatible = Compatible(self._server, model)
        self._scorer = EchoScorer(self._server, model, max_connections=max_connections)
        self._is_llama_cpp: bool | None = None

    @property
    def name(self) -> str:
        """``openai:MODEL@URL``."""
        return f"openai:{self._model}@{self._server.base_url}"

    def __repr__(self) -> str:
        return f"OpenAIModel({self._model!r}, base_url={self._server.base_url!r})"

    async def generate(
        self, prompt: Prompt, *, shape: Shape = None, config: GenerateConfig = GenerateConfig()
    ) -> ModelOutput:
        """Returns the model's text after the prompt, in the given shape.

        Raises:
            ModelError: no usable answer after retries, or a text without its shape.
            UsageError: the shape is none, or the prompt cannot be sent.
        """
        check_shape(shape)
        backend = await self._backend()
        try:
            output = await backend.generate(prompt, shape, config)
        except RefusedError:
            if shape is None:
                raise
            return await self._by_prompt(backend, prompt, shape, config)
        return _fitting(output, shape, config)

    async def score(self, items: Sequence[ScoreItem]) -> Scores:
        """Returns the log-likelihood of every item's continuation.

        Raises:
            NotSupportedError: the server cannot; found out once, so that later calls fail at once.
            ModelError: no usable answer after retries.
            UsageError: a continuation is empty.
        """
        self._server.check_open()
        check_items(items)
        if not items:
            return Scores(values=(), tokens=())
        scorer = self._scorer if isinstance(await self._backend(), Compatible) else self._llama_cpp
        return await scorer.score(items)

    async def aclose(self) -> None:
        """Closes the connections; the model cannot be used afterwards."""
        await self._server.aclose()

    async def _backend(self) -> Compatible | LlamaCpp:
        """Returns the interface that this server is asked through."""
        self._server.check_open()
        if self._is_llama_cpp is None:
            await self._server.found_out("interface", self._find_interface)
        return self._llama_cpp if self._is_llama_cpp else self._compatible

    async def _find_interface(self) -> None:
        try:
            self._is_llama_cpp = await LlamaCpp.answers_at(self._server, self._model)
        except ModelError as error:
            # No telling now. The request itself comes next, with its retries and its own error.
            if not error.retryable and not isinstance(error, RefusedError):
                self._is_llama_cpp = False

    async def _by_prompt(
        self,
        backend: Compatible | LlamaCpp,
        prompt: Prompt,
        shape: Mapping[str, Any] | tuple[str, ...],
        config: GenerateConfig,
    ) -> ModelOutput:
        """Asks for the shape in words, once more with the reason where the text does not fit."""
        unstopped = replace(config, stop=())
        first = await backend.generate(_asking(prompt, shape), None, unstopped)
        output = replace(first, text=_bare(first.text, shape), stop=_stop(first))
        problem = misfit(output.text, shape)
        if problem is None or output.stop == "length":
            return _fitting(output, shape, config)
        again = await backend.generate(_asking(prompt, shape, problem), None, unstopped)
        output = replace(
            again,
            text=_bare(again.text, shape),
            stop=_stop(again),
            usage=replace(first.usage + again.usage, model_calls=1),
        )
        return _fitting(output, shape, config)


def _stop(output: ModelOutput) -> Any:
    return "length" if output.stop == "length" else "end"


def _fitting(output: ModelOutput, shape: Shape, config: GenerateConfig) -> ModelOutput:
    """Returns the output, if its text has the shape."""
    problem = misfit(output.text, shape)
    if problem is None:
        return output if shape is None else replace(output, stop="end")
    if output.stop == "length":
        raise ModelError(f"max_tokens={config.max_tokens} is no room for the shape: {problem}")
    raise ModelError(f"the text does not have its shape: {problem}")


def _asking(
    prompt: Prompt, shape: Mapping[str, Any] | tuple[str, ...], problem: str | None = None
) -> Prompt:
    """Returns the prompt with words that ask for the shape, before the beginning of the assistant's turn."""
    if isinstance(shape, tuple):
        words = "Answer with exactly one of these, and nothing else:\n" + "\n".join(shape)
    else:
        schema = json.dumps(shape, ensure_ascii=False)
        words = (
            f"Answer with JSON that is valid under this JSON Schema, and nothing else:\n{schema}"
        )
    if problem is not None:
        words += f"\nAn earlier answer was refused: {problem}"
    if isinstance(prompt, str):
        return f"{prompt}\n\n{words}\n\nAnswer: "
    place = len(prompt) - 1 if prompt and prompt[-1].role == "assistant" else len(prompt)
    return (*prompt[:place], Message(role="user", content=words), *prompt[place:])


def _bare(text: str, shape: Mapping[str, Any] | tuple[str, ...]) -> str:
    """Returns the text without blanks, code fence or (around a choice) quotes and full stop."""
    text = text.strip()
    if text.startswith("```"):
        text = text.removeprefix("```").removeprefix("json").removesuffix("```").strip()
    if isinstance(shape, tuple) and text not in shape:
        text = text.strip("\"'`.")
    return text

"""Models for tests, ours and our users': one follows a script, one asks two functions."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ..core import ModelError, NotSupportedError, Usage, UsageError
from .base import GenerateConfig, ModelOutput, Prompt, ScoreItem, Scores, Shape
from .shapes import check_shape, cut_at_stop, misfit

Scoring = Sequence[float] | Mapping[str, float] | Callable[[ScoreItem], float]
"""Where a script's scores come from: a list is used up in order, a mapping goes by the continuation, a function by
the whole item. Nats, at most 0."""

_TOKEN = re.compile(r"\s*\w+|\s*[^\w\s]+|\s+\Z")


def _tokens(text: str) -> list[str]:
    """Splits into words and marks with the blanks before them, which stand for tokens here."""
    return _TOKEN.findall(text)


def _text_of(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    return "\n".join(f"{message.role}: {message.content}" for message in prompt)


def _count(*texts: str) -> int:
    return sum(len(_tokens(text)) for text in texts)


class FunctionModel:
    """A model that asks functions: what a test wants to compute goes there.

    Tokens are words and punctuation marks. A text is cut at stop strings and `max_tokens` and checked against the shape as a backend's is.

    Args:
        generate: Gets prompt, shape and config and returns the text, or a whole `ModelOutput`, which passes as it is.
        score: Gets an item and returns its log-likelihood in nats. Without it, `score` is not supported.
        name: What the trajectory calls the model.

    Both functions may be async.
    """

    def __init__(
        self,
        generate: Callable[
            [Prompt, Shape, GenerateConfig], str | ModelOutput | Awaitable[str | ModelOutput]
        ]
        | None = None,
        *,
        score: Callable[[ScoreItem], float | Awaitable[float]] | None = None,
        name: str = "function",
    ) -> None:
        self._generate = generate
        self._score = score
        self._name = name
        self._closed = False

    @property
    def name(self) -> str:
        """The name it was given."""
        return self._name

    async def generate(
        self, prompt: Prompt, *, shape: Shape = None, config: GenerateConfig = GenerateConfig()
    ) -> ModelOutput:
        """Returns the function's text.

        Raises:
            NotSupportedError: there is no function.
            ModelError: the text does not have the shape, or the model is closed.
        """
        self._check_open()
        check_shape(shape)
        if self._generate is None:
            raise NotSupportedError(f"{self.name} has no function to generate with")
        answer = await _awaited(self._generate(prompt, shape, config))
        return answer if isinstance(answer, ModelOutput) else _output(answer, prompt, shape, config)

    async def score(self, items: Sequence[ScoreItem]) -> Scores:
        """Returns the function's log-likelihoods.

        Raises:
            NotSupportedError: there is no function.
            UsageError: a continuation is empty.
        """
        self._check_open()
        check_items(items)
        if self._score is None:
            raise NotSupportedError(f"{self.name} has no function to score with")
        values = [float(await _awaited(self._score(item))) for item in items]
        counts = tuple(_count(item.continuation) + item.end for item in items)
        read = sum(_count(_text_of(item.prompt)) for item in items) + sum(counts)
        return Scores(
            values=tuple(values),
            tokens=counts,
            usage=Usage(computed_tokens=read, model_calls=1),
        )

    async def aclose(self) -> None:
        """Makes every later call fail, as with a real backend."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise ModelError(f"{self.name} is closed")


class ScriptedModel:
    """A model that says what it was told to, in order, and remembers what it was asked.

    Args:
        outputs: The texts that `generate` returns, one a call.
        scores: What `score` returns; see `Scoring`. Without it, `score` is not supported.
        name: What the trajectory calls the model.
    """

    def __init__(
        self,
        outputs: Sequence[str] = (),
        *,
        scores: Scoring | None = None,
        name: str = "scripted",
    ) -> None:
        self._outputs = tuple(outputs)
        self._scores = tuple(scores) if isinstance(scores, Sequence) else scores
        self._model = FunctionModel(
            self._next_output, score=None if scores is None else self._next_score, name=name
        )
        self.prompts: list[Prompt] = []
        """The prompt of every `generate`, in order."""
        self.items: list[ScoreItem] = []
        """Every item that was scored, in order."""

    @property
    def name(self) -> str:
        """The name it was given."""
        return self._model.name

    async def generate(
        self, prompt: Prompt, *, shape: Shape = None, config: GenerateConfig = GenerateConfig()
    ) -> ModelOutput:
        """Returns the next text of the script.

        Raises:
            ModelError: the script is at its end, the text does not have the shape, or the model is closed.
        """
        return await self._model.generate(prompt, shape=shape, config=config)

    async def score(self, items: Sequence[ScoreItem]) -> Scores:
        """Returns the script's scores.

        Raises:
            NotSupportedError: the script has no scores.
            ModelError: it has none for one of the items.
            UsageError: a continuation is empty.
        """
        return await self._model.score(items)

    async def aclose(self) -> None:
        """Makes every later call fail, as with a real backend."""
        await self._model.aclose()

    def _next_output(self, prompt: Prompt, _shape: Shape, _config: GenerateConfig) -> str:
        place = len(self.prompts)
        self.prompts.append(prompt)
        if place >= len(self._outputs):
            raise ModelError(
                f"{self.name} has {len(self._outputs)} outputs and was asked for another; the prompt ends "
                f"{_text_of(prompt)[-80:]!r}"
            )
        return self._outputs[place]

    def _next_score(self, item: ScoreItem) -> float:
        place = len(self.items)
        self.items.append(item)
        try:
            if callable(self._scores):
                return self._scores(item)
            if isinstance(self._scores, Mapping):
                return self._scores[item.continuation]
            assert isinstance(self._scores, tuple)
            return self._scores[place]
        except LookupError:
            raise ModelError(
                f"{self.name} has no score for item {place}, the continuation {item.continuation!r}"
            ) from None


def check_items(items: Sequence[ScoreItem]) -> None:
    """Passes where every item has something to score.

    Raises:
        UsageError: an item's continuation is empty and its end does not count.
    """
    for place, item in enumerate(items):
        if not item.continuation and not item.end:
            raise UsageError(
                f"item {place}: the continuation is empty; set `end` to score the end alone"
            )


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _output(text: str, prompt: Prompt, shape: Shape, config: GenerateConfig) -> ModelOutput:
    text, stopped = cut_at_stop(text, config) if shape is None else (text, False)
    tokens = _tokens(text)
    cut = len(tokens) > config.max_tokens
    if cut:
        tokens = tokens[: config.max_tokens]
        text = "".join(tokens)
    if (problem := misfit(text, shape)) is not None:
        raise ModelError(f"the text does not have its shape: {problem}")
    return ModelOutput(
        text=text,
        stop="length" if cut else "stop_string" if stopped else "end",
        usage=Usage(
            computed_tokens=_count(_text_of(prompt)),
            generated_tokens=len(tokens),
            model_calls=1,
        ),
    )

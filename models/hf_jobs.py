"""What the model's thread is asked to do, and how it answers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import TypeVar

from ..core import ModelError, ToolVerifierError
from .base import GenerateConfig, ModelOutput, Prompt, ScoreItem, Scores, Shape

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, eq=False)
class GenerateJob:
    """A text that somebody waits for."""

    prompt: Prompt
    shape: Shape
    config: GenerateConfig
    future: Future[ModelOutput]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreJob:
    """Scores that somebody waits for."""

    items: Sequence[ScoreItem]
    future: Future[Scores]


Job = GenerateJob | ScoreJob


def succeed(future: Future[Result], result: Result) -> None:
    """Hands over the result, unless nobody waits any more."""
    try:
        future.set_result(result)
    except InvalidStateError:
        return


def fail(future: Future[Result], error: Exception) -> None:
    """Hands over the error as one of the library's own, unless nobody waits any more."""
    if not isinstance(error, ToolVerifierError):
        own = ModelError(f"{type(error).__name__}: {error}")
        own.__cause__ = error
        error = own
    try:
        future.set_exception(error)
    except InvalidStateError:
        return

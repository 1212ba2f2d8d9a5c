"""What the model's thread is asked to do, and how it answers."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Any, TypeVar

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


class JobQueue:
    """Jobs on their way to the model's thread. Once closed it takes no more, and says why."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        # Reentrant, because a model may be finalized, and its queue closed, wherever garbage is collected.
        self._lock = threading.RLock()
        self._closed: str | None = None

    def put(self, job: Job) -> None:
        """Takes the job in.

        Raises:
            ModelError: the queue is closed.
        """
        with self._lock:
            if self._closed is not None:
                raise ModelError(self._closed)
            self._jobs.put(job)

    def close(self, reason: str) -> None:
        """Puts None after the last job, and gives later ones the reason; the first reason stays."""
        with self._lock:
            if self._closed is None:
                self._closed = reason
                self._jobs.put(None)

    def take(self, *, wait: bool) -> list[Job | None]:
        """Returns what is there, waiting for a first job where that is asked for."""
        taken = [self._jobs.get()] if wait else []
        while True:
            try:
                taken.append(self._jobs.get_nowait())
            except queue.Empty:
                return taken


def succeed(future: Future[Result], result: Result) -> None:
    """Hands over the result, unless nobody waits any more."""
    try:
        future.set_result(result)
    except InvalidStateError:
        return


def fail(future: Future[Any], error: Exception) -> None:
    """Hands over the error as one of the library's own, unless nobody waits any more."""
    if not isinstance(error, ToolVerifierError):
        own = ModelError(f"{type(error).__name__}: {error}")
        own.__cause__ = error
        error = own
    try:
        future.set_exception(error)
    except InvalidStateError:
        return

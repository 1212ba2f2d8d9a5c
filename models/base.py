"""What every model backend does: two verbs, `generate` and `score`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ..core import Message, Usage

Prompt = str | tuple[Message, ...]
"""A string is a plain completion. Messages are a chat, rendered by the model's own template; a last message of
the assistant is the beginning of its turn, which the model goes on from."""

Shape = Mapping[str, Any] | tuple[str, ...] | None
"""What generated text must be: a mapping is a JSON Schema, a tuple is a closed set of choices, None is free text."""


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """How to decode."""

    max_tokens: int = 256
    temperature: float = 0.0
    """0 is greedy; otherwise the softmax is taken of logits divided by it."""
    seed: int = 0
    """Seed of the draws where the temperature is above 0; the same seed gives the same text on the same backend."""
    stop: tuple[str, ...] = ()
    """Text before the first of these is kept, the stop string itself is not."""
    top_logprobs: int = 0
    """How many of the most probable first tokens to return with their log probabilities."""


@dataclass(frozen=True, kw_only=True)
class ModelOutput:
    """Generated text."""

    text: str
    stop: Literal["end", "length", "stop_string"]
    """Why decoding ended: the model ended its turn (or the shape was complete), `max_tokens`, or a stop string."""
    first_token: dict[str, float] = field(default_factory=dict)
    """Log probabilities (nats) of the most probable first tokens, as text; empty where none were asked for or the
    backend has none."""
    usage: Usage = Usage()


@dataclass(frozen=True, kw_only=True)
class ScoreItem:
    """A continuation whose log-likelihood after the prompt is wanted."""

    prompt: Prompt
    continuation: str
    """Not empty, unless `end` is set."""
    end: bool = False
    """Whether the end of the turn counts as a last token of the continuation."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Log-likelihoods of continuations, in the order of the items."""

    values: tuple[float, ...]
    """Sums over the continuation's tokens, in nats; at most 0."""
    tokens: tuple[int, ...]
    """Number of the continuation's tokens, for normalising by length."""
    usage: Usage = Usage()


class Model(Protocol):
    """A language model. One instance serves many concurrent runs and never blocks the event loop.

    Both verbs raise `ModelError` when the backend fails, and `NotSupportedError` when it cannot do what is asked at
    all; a caller can then go another way.
    """

    @property
    def name(self) -> str:
        """The name that `load_model` takes, with the quantization where there is one."""
        ...

    async def generate(
        self, prompt: Prompt, *, shape: Shape = None, config: GenerateConfig = GenerateConfig()
    ) -> ModelOutput:
        """Returns the model's text after the prompt.

        With a shape the text is complete in it: valid JSON under the schema, or one of the choices; where the model
        does not come to that within `max_tokens`, that is a `ModelError`.
        """
        ...

    async def score(self, items: Sequence[ScoreItem]) -> Scores:
        """Returns the log-likelihood of every item's continuation."""
        ...

    async def aclose(self) -> None:
        """Gives back what the model holds (weights, connections); it cannot be used afterwards."""
        ...

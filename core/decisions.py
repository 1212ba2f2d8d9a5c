"""Decisions: choices among candidates, with a probability for each and the reasons.

A tool is chosen among tools and "none", an argument's value among values and "not given". Both are
recorded in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Source = Literal["scores", "logprobs", "votes", "rule"]
"""How a distribution was read out: ``scores`` from log-likelihoods of whole continuations, ``logprobs``
from the log probabilities of one label, ``votes`` from counted answers, ``rule`` without a model."""


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Probabilities of options. They are positive or zero and sum to one."""

    options: tuple[str, ...]
    probabilities: tuple[float, ...]
    source: Source

    def __post_init__(self) -> None:
        if not self.options or len(self.options) != len(self.probabilities):
            raise ValueError(
                f"{len(self.options)} options, {len(self.probabilities)} probabilities"
            )
        if min(self.probabilities) < 0 or abs(sum(self.probabilities) - 1) > 1e-6:
            raise ValueError(f"not a distribution: {self.probabilities!r}")

    @classmethod
    def from_logits(cls, logits: Mapping[str, float], *, source: Source) -> Distribution:
        """Returns the softmax of `logits` (nats, any offset)."""
        top = max(logits.values())
        weights = {option: math.exp(logit - top) for option, logit in logits.items()}
        total = sum(weights.values())
        return cls(
            options=tuple(weights),
            probabilities=tuple(weight / total for weight in weights.values()),
            source=source,
        )

    def ranked(self) -> tuple[tuple[str, float], ...]:
        """Options with their probabilities, most probable first; ties keep their order."""
        pairs = zip(self.options, self.probabilities, strict=True)
        return tuple(sorted(pairs, key=lambda pair: -pair[1]))

    def logs(self) -> dict[str, float]:
        """Log probabilities by option, in nats; what has probability 0 gets -inf."""
        return {
            option: math.log(probability) if probability > 0 else -math.inf
            for option, probability in zip(self.options, self.probabilities, strict=True)
        }

    @property
    def best(self) -> str:
        """The most probable option."""
        return self.ranked()[0][0]

    @property
    def margin(self) -> float:
        """Probability of the best option less that of the second, 0 to 1; 1 where there is one option."""
        ranked = self.ranked()
        return ranked[0][1] - (ranked[1][1] if len(ranked) > 1 else 0.0)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One option of a decision, with what spoke for it."""

    name: str
    """The tool's name, ``none``, or an argument's value as JSON text."""
    probability: float
    evidence: dict[str, float] = field(default_factory=dict)
    """Log-score of each piece of evidence, in nats, before weighing; only differences between candidates mean
    something."""
    arguments: dict[str, Any] | None = None
    """The verified arguments, for the tool that was chosen."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A second look at two close candidates: what was asked, what came of it."""

    about: str
    """What was decided: ``tool`` or the argument's name."""
    method: str
    """The evidence that was added: ``pair``, ``contrast``, ..."""
    candidates: tuple[str, str]
    """The two that were close, the better one first."""
    question: str | None
    answer: str | None
    """The candidate or the written answer that the second look spoke for."""
    before: Distribution
    after: Distribution
    changed: bool
    """Whether the choice is another one after the second look."""
    abstained: str | None = None
    """Why the second look could not be taken; `after` equals `before` then."""


@dataclass(frozen=True, kw_only=True)
class ArgumentDecision:
    """How one argument got its value."""

    name: str
    value: Any
    given: bool
    """False where the request does not give the argument; `value` is None then."""
    candidates: tuple[Candidate, ...]
    grounds: str
    """Where the value came from: ``request``, ``schema``, ``context``, ``draw``, or ``none``."""

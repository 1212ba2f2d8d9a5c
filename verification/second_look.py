"""The second look: dearer evidence about the two best candidates, taken only where they are close."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..core import NotSupportedError, Usage
from ..models import Model, ScoreItem
from ..tools import ToolSpec
from .evidence import choose_label, name_of
from .prompts import direct_prompt, label_prompt

Pair = tuple[ToolSpec | None, ToolSpec | None]
"""Two candidates, the better one so far first; None is "no tool fits"."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a second look says about a pair."""

    log_odds: float
    """Nats by which it favours the first of the pair over the second."""
    question: str | None = None
    """What was asked, where it was put as a question."""
    answers: tuple[str, str] | None = None
    """The answers that speak for the first and for the second, where there was a question."""
    usage: Usage = Usage()


class SecondLook(Protocol):
    """A way to look again at two close candidates."""

    @property
    def name(self) -> str:
        """The name under which weights and verdicts know it."""
        ...

    async def look(self, request: str, pair: Pair, *, model: Model, priors: Model) -> Look:
        """Returns the log-odds of the first candidate over the second.

        `priors` is the same model behind a memory, for what does not depend on the request.

        Raises:
            ModelError: the backend failed, or cannot do what this look needs.
        """
        ...


class PairLook:
    """Asks which of the two it is, with both orders of the two, and averages the log-odds of their names.

    The average takes away the liking for a place in the list, and what the pair says under an empty request is taken off as
    well. Names are scored and not letters: a small model says "A" whatever stands there, so that its two letters hardly
    move with the request.
    """

    name = "pair"

    async def look(self, request: str, pair: Pair, *, model: Model, priors: Model) -> Look:
        """Returns the averaged log-odds."""
        try:
            asked = await model.score(_pair_items(request, pair))
            empty = await priors.score(_pair_items("", pair))
        except NotSupportedError:
            return await _look_by_label(request, pair, model)
        return Look(
            log_odds=_log_odds(asked.values) - _log_odds(empty.values),
            usage=asked.usage + empty.usage,
        )


def _pair_items(request: str, pair: Pair) -> list[ScoreItem]:
    """Returns both names after the pair in its order, then after the pair turned round."""
    return [
        ScoreItem(prompt=direct_prompt(order, request), continuation=name_of(candidate), end=True)
        for order in (pair, pair[::-1])
        for candidate in pair
    ]


def _log_odds(values: Sequence[float]) -> float:
    first, second, first_turned, second_turned = values
    return ((first - second) + (first_turned - second_turned)) / 2


async def _look_by_label(request: str, pair: Pair, model: Model) -> Look:
    labels = ("A", "B")
    logs: list[float] = []
    usage = Usage()
    for order in (pair, pair[::-1]):
        prompt = label_prompt(list(zip(labels, order, strict=True)), request)
        distribution, cost = await choose_label(model, prompt, labels)
        straight = distribution.probabilities if order == pair else distribution.probabilities[::-1]
        logs += [math.log(probability) for probability in straight]
        usage += cost
    return Look(log_odds=_log_odds(logs), usage=usage)

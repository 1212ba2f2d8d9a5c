"""The second look: dearer evidence about the two best candidates, taken only where they are close."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from ..core import NotSupportedError, Usage
from ..models import Model, ScoreItem
from ..tools import ToolSpec
from .evidence import choose_label
from .prompts import pair_prompt

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
    """Asks "A or B?" over both descriptions, in both orders, and averages the log-odds.

    The average takes away the liking for a letter or a place, which in small models is stronger than the request: a 0.5B
    model says "A" whatever stands there. What the pair says under an empty request is taken off as well.
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
    """Returns A and B after the pair in its order, then after the pair turned round."""
    first, second = pair
    return [
        ScoreItem(prompt=pair_prompt(*order, request), continuation=label)
        for order in ((first, second), (second, first))
        for label in ("A", "B")
    ]


def _log_odds(values: tuple[float, ...]) -> float:
    a, b, turned_a, turned_b = values
    return ((a - b) + (turned_b - turned_a)) / 2


async def _look_by_label(request: str, pair: Pair, model: Model) -> Look:
    first, second = pair
    straight, usage = await choose_label(model, pair_prompt(first, second, request), ("A", "B"))
    turned, more = await choose_label(model, pair_prompt(second, first, request), ("A", "B"))
    logs = [math.log(p) for p in (*straight.probabilities, *turned.probabilities)]
    return Look(log_odds=_log_odds((logs[0], logs[1], logs[2], logs[3])), usage=usage + more)

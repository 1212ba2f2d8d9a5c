"""The tool decision: weigh every candidate cheaply, look again where the best two are close, decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..core import Candidate, Distribution, ModelError, Usage, Verdict, gather_bounded
from ..models import MemoModel, Model
from ..tools import ToolSpec
from .evidence import Channel, Direct, Evidence, Lexical, Reading, Situation, combine, name_of
from .prompts import NONE
from .second_look import Look, Pair, PairLook, SecondLook


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How much each piece of evidence counts, and when to look again."""

    evidence: Mapping[str, float]
    """Weight of each piece and each second look by name; what has none, or 0, is not asked for."""
    none_bias: float
    """Added to the logit of ``none``."""
    gate: float
    """Margin (0 to 1) below which the best two are looked at again."""


DEFAULT_WEIGHTS = Weights(
    evidence={"lexical": 0.5, "channel": 0.6, "direct": 0.7, "pair": 0.7},
    none_bias=1.0,
    gate=0.8,
)
"""Fixed weights that serve all models: rounded from a conditional logit on rows of ToolSelect that no benchmark uses."""


@dataclass(frozen=True, kw_only=True)
class ToolDecision:
    """Which tool, how probable, and why."""

    candidates: tuple[Candidate, ...]
    """Every candidate and ``none``, most probable first."""
    verdicts: tuple[Verdict, ...] = ()
    """Second looks in the order in which they were taken."""
    left_out: tuple[str, ...] = ()
    """Evidence that could not be had, each with the reason."""
    usage: Usage = Usage()

    @property
    def tool(self) -> str | None:
        """Name of the chosen tool; None where no tool fits."""
        best = self.candidates[0].name
        return None if best == NONE else best


@dataclass(frozen=True)
class ToolDecider:
    """Decides tools with one model. Frozen; it holds no state of a decision, only remembered priors."""

    model: Model
    weights: Weights = DEFAULT_WEIGHTS
    evidence: tuple[Evidence, ...] = (Lexical(), Channel(), Direct())
    """Cheap pieces, read side by side for all candidates."""
    second_looks: tuple[SecondLook, ...] = (PairLook(),)
    """Dear pieces, taken in order while the margin is below the gate."""
    priors: MemoModel = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "priors", MemoModel(self.model))

    async def decide(self, request: str, tools: Sequence[ToolSpec]) -> ToolDecision:
        """Returns the decision among `tools` and "none".

        Raises:
            ModelError: no piece of evidence that needs the model could be had.
        """
        situation = Situation(request=request, tools=tuple(tools))
        readings, left_out = await self._weigh(situation)
        names = [name_of(candidate) for candidate in situation.candidates]
        distribution = combine(
            readings,
            weights=self.weights.evidence,
            none_bias=self.weights.none_bias,
            candidates=names,
        )
        usage = sum((reading.usage for reading in readings.values()), Usage())
        decision = ToolDecision(
            candidates=_candidates(distribution, readings), left_out=left_out, usage=usage
        )
        return await self._look_again(decision, distribution, situation)

    async def _weigh(self, situation: Situation) -> tuple[dict[str, Reading], tuple[str, ...]]:
        pieces = [piece for piece in self.evidence if self.weights.evidence.get(piece.name)]

        async def read(piece: Evidence) -> Reading | ModelError:
            try:
                return await piece.read(situation, model=self.model, priors=self.priors)
            except ModelError as error:
                return error

        outcomes = await gather_bounded(pieces, read, limit=len(pieces) or 1)
        readings: dict[str, Reading] = {}
        failures: list[tuple[str, ModelError]] = []
        for piece, outcome in zip(pieces, outcomes, strict=True):
            if isinstance(outcome, ModelError):
                failures.append((piece.name, outcome))
            else:
                readings[piece.name] = outcome
        if failures and all(reading.source == "rule" for reading in readings.values()):
            raise failures[-1][1]
        return readings, tuple(f"{name}: {error}" for name, error in failures)

    async def _look_again(
        self, decision: ToolDecision, distribution: Distribution, situation: Situation
    ) -> ToolDecision:
        by_name = {name_of(candidate): candidate for candidate in situation.candidates}
        for second_look in self.second_looks:
            weight = self.weights.evidence.get(second_look.name)
            if not weight or distribution.margin >= self.weights.gate:
                continue
            (first, _), (second, _) = distribution.ranked()[:2]
            pair = (by_name[first], by_name[second])
            try:
                look = await second_look.look(
                    situation.request, pair, model=self.model, priors=self.priors
                )
            except ModelError as error:
                verdict = _abstention(second_look.name, (first, second), distribution, str(error))
                left_out = (*decision.left_out, f"{second_look.name}: {error}")
                decision = replace(
                    decision, verdicts=(*decision.verdicts, verdict), left_out=left_out
                )
                continue
            after = shift(distribution, (first, second), weight * look.log_odds)
            verdict = _verdict(second_look.name, (first, second), look, distribution, after)
            distribution = after
            decision = replace(
                decision,
                candidates=_reweighed(decision.candidates, after, second_look.name, pair, look),
                verdicts=(*decision.verdicts, verdict),
                usage=decision.usage + look.usage,
            )
        return decision


def shift(distribution: Distribution, pair: tuple[str, str], nats: float) -> Distribution:
    """Returns the distribution with `nats` more log-odds for the first of the pair over the second.

    What the two have together, and all other options, stay as they are: a look at two candidates says nothing about a third.
    """
    probabilities = dict(zip(distribution.options, distribution.probabilities, strict=True))
    first, second = pair
    together = probabilities[first] + probabilities[second]
    odds = Distribution.from_logits(
        {
            first: math.log(max(probabilities[first], 1e-300)) + nats,
            second: math.log(max(probabilities[second], 1e-300)),
        },
        source=distribution.source,
    )
    probabilities[first] = together * odds.probabilities[0]
    probabilities[second] = together * odds.probabilities[1]
    return replace(distribution, probabilities=tuple(probabilities.values()))


def _candidates(
    distribution: Distribution, readings: Mapping[str, Reading]
) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(
            name=name,
            probability=probability,
            evidence={piece: reading.scores[name] for piece, reading in readings.items()},
        )
        for name, probability in distribution.ranked()
    )


def _reweighed(
    candidates: tuple[Candidate, ...], after: Distribution, piece: str, pair: Pair, look: Look
) -> tuple[Candidate, ...]:
    """Returns the candidates in their new order; the look's log-odds stand as half for one and half against the other."""
    known = {candidate.name: candidate for candidate in candidates}
    halves = dict(zip(map(name_of, pair), (look.log_odds / 2, -look.log_odds / 2), strict=True))
    return tuple(
        replace(
            known[name],
            probability=probability,
            evidence=known[name].evidence | ({piece: halves[name]} if name in halves else {}),
        )
        for name, probability in after.ranked()
    )


def _verdict(
    method: str,
    pair: tuple[str, str],
    look: Look,
    before: Distribution,
    after: Distribution,
) -> Verdict:
    favoured = 0 if look.log_odds >= 0 else 1
    return Verdict(
        about="tool",
        method=method,
        candidates=pair,
        question=look.question,
        answer=(look.answers or pair)[favoured],
        before=before,
        after=after,
        changed=before.best != after.best,
    )


def _abstention(
    method: str, pair: tuple[str, str], distribution: Distribution, reason: str
) -> Verdict:
    return Verdict(
        about="tool",
        method=method,
        candidates=pair,
        question=None,
        answer=None,
        before=distribution,
        after=distribution,
        changed=False,
        abstained=reason,
    )

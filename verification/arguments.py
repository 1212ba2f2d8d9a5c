"""The decision of a call's arguments: candidates from request and schema, weighed in one batch.

Every argument is a decision among candidate values and "not given". All candidates of all arguments are scored in one batch over
one cached prompt. Where none of them is what the model itself would most likely write, it writes a value under the schema,
which is weighed like the others. A required argument that nothing gives is reported as missing and never invented.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..core import (
    ArgumentDecision,
    Candidate,
    Distribution,
    ModelError,
    NotSupportedError,
    Usage,
    gather_bounded,
)
from ..models import GenerateConfig, MemoModel, Model, ModelOutput, ScoreItem
from ..tools import ToolSpec
from .argument_schema import Argument
from .argument_values import NOTHING, ArgumentValue, drawn_value, listed_values
from .prompts import arguments_prompt

_DRAW = GenerateConfig(max_tokens=96)
_DRAW_WHOLE = GenerateConfig(max_tokens=1024)
_BEAM = 64
_MORE_LIKELY_THAN_NOT = math.log(0.5)


@dataclass(frozen=True, kw_only=True)
class ArgumentWeights:
    """What counts besides the likelihood of a value."""

    support: float = 2.7
    """Nats that the request must add to a value that it does not write out; with less it counts as invented."""
    reuse_penalty: float = 4.0
    """Nats off for each span that stands in two arguments of one call."""


@dataclass(frozen=True, kw_only=True)
class ArgumentsDecision:
    """The arguments of one call, and how each got its value."""

    arguments: dict[str, Any]
    decisions: tuple[ArgumentDecision, ...]
    missing: tuple[str, ...]
    """Required arguments that neither request nor context gives."""
    left_out: tuple[str, ...] = ()
    """Draws that failed, each with the reason; they did not count."""
    usage: Usage = Usage()


@dataclass(frozen=True, kw_only=True)
class _Weighed:
    """A candidate value with what was scored for it."""

    value: ArgumentValue
    likelihood: float
    logit: float


@dataclass(frozen=True)
class ArgumentDecider:
    """Decides arguments with one model. Frozen; it holds no state of a decision, only remembered priors."""

    model: Model
    weights: ArgumentWeights = ArgumentWeights()
    priors: MemoModel = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "priors", MemoModel(self.model))

    async def decide(self, request: str, tool: ToolSpec, *, context: str = "") -> ArgumentsDecision:
        """Returns the arguments that the request asks for.

        Args:
            request: what the user wants.
            tool: the tool that was chosen.
            context: what earlier steps found out; values may come from it.

        Raises:
            ModelError: the backend failed.
        """
        if not tool.properties:
            return ArgumentsDecision(arguments={}, decisions=(), missing=())
        arguments = [Argument(tool, name) for name in tool.properties]
        listed = {each.name: listed_values(each, request, context) for each in arguments}
        try:
            weighed, usage = await self._weigh(listed, request, tool, context)
        except NotSupportedError:
            return await self._draw_whole(request, tool, context)
        unsure = [each for each in arguments if _needs_draw(each, weighed[each.name])]
        drawn, left_out, cost = await self._draw(unsure, request, tool, context)
        usage += cost
        new = {name: [value] for name, value in drawn.items() if value not in listed[name]}
        if new:
            more, cost = await self._weigh(new, request, tool, context)
            usage += cost
            weighed |= {name: weighed[name] + more[name] for name in more}
        decision = _decision(tool, weighed, _assign(weighed, self.weights.reuse_penalty))
        return replace(decision, left_out=left_out, usage=usage)

    async def _weigh(
        self,
        values: Mapping[str, Sequence[ArgumentValue]],
        request: str,
        tool: ToolSpec,
        context: str,
    ) -> tuple[dict[str, list[_Weighed]], Usage]:
        """Returns every value weighed, by argument: by its likelihood, where the request supports it.

        What the request writes out is supported. A choice of the schema is, where the request makes it likelier by `support`
        nats than "not given", and a drawn value, where it makes it likelier by that much than an empty request.
        """
        asked = await self.model.score(_items(values, request, tool, context))
        doubtful = {
            name: [value for value in candidates if not value.is_span]
            for name, candidates in values.items()
        }
        empty = await self.priors.score(_items(doubtful, "", tool, ""))
        likelihoods, priors = iter(asked.values), iter(empty.values)
        weighed: dict[str, list[_Weighed]] = {}
        for name, candidates in values.items():
            scored = {value: next(likelihoods) for value in candidates}
            added = {value: scored[value] - next(priors) for value in doubtful[name]}
            weighed[name] = [
                _Weighed(
                    value=value,
                    likelihood=scored[value],
                    logit=scored[value] if self._supports(value, added) else -math.inf,
                )
                for value in candidates
            ]
        return weighed, asked.usage + empty.usage

    def _supports(self, value: ArgumentValue, added: Mapping[ArgumentValue, float]) -> bool:
        if value.json is None or value.is_span:
            return True
        rival = added[NOTHING] if value.grounds == "schema" else 0.0
        return added[value] - rival >= self.weights.support

    async def _draw(
        self, arguments: Sequence[Argument], request: str, tool: ToolSpec, context: str
    ) -> tuple[dict[str, ArgumentValue], tuple[str, ...], Usage]:
        """Returns for each argument the value that the model itself writes under the schema, and what failed."""

        async def draw(argument: Argument) -> ModelOutput | ModelError:
            try:
                return await self.model.generate(
                    arguments_prompt(tool, request, context, name=argument.name),
                    shape=argument.within(_nullable(tool.properties[argument.name])),
                    config=_DRAW,
                )
            except ModelError as error:
                return error

        values: dict[str, ArgumentValue] = {}
        left_out: list[str] = []
        usage = Usage()
        outcomes = await gather_bounded(arguments, draw, limit=len(arguments) or 1)
        for argument, outcome in zip(arguments, outcomes, strict=True):
            if isinstance(outcome, ModelError):
                left_out.append(f"draw of {argument.name}: {outcome}")
                continue
            usage += outcome.usage
            drawn = json.loads(outcome.text)
            values[argument.name] = drawn_value(argument, drawn, request, context)
        return values, tuple(left_out), usage

    async def _draw_whole(self, request: str, tool: ToolSpec, context: str) -> ArgumentsDecision:
        """Decides with a model that cannot score: it writes all arguments at once, null for what is not given."""
        arguments = [Argument(tool, name) for name in tool.properties]
        whole = {
            "type": "object",
            "properties": {name: _nullable(schema) for name, schema in tool.properties.items()},
            "required": list(tool.properties),
            "additionalProperties": False,
        }
        output = await self.model.generate(
            arguments_prompt(tool, request, context),
            shape=arguments[0].within(whole),
            config=_DRAW_WHOLE,
        )
        drawn = json.loads(output.text)
        chosen = {
            each.name: drawn_value(each, drawn[each.name], request, context) for each in arguments
        }
        certain = {
            name: [_Weighed(value=value, likelihood=0.0, logit=0.0)]
            for name, value in chosen.items()
        }
        return replace(_decision(tool, certain, chosen), usage=output.usage)


def _items(
    values: Mapping[str, Sequence[ArgumentValue]], request: str, tool: ToolSpec, context: str
) -> list[ScoreItem]:
    prompts = {name: arguments_prompt(tool, request, context, name=name) for name in values}
    return [
        ScoreItem(prompt=prompts[name], continuation=value.json or "null", end=True)
        for name, candidates in values.items()
        for value in candidates
    ]


def _needs_draw(argument: Argument, weighed: Sequence[_Weighed]) -> bool:
    """Whether the model might write something likelier than every listed value.

    It cannot where one of them is more likely than not, and it must not where the schema lists all there are.
    """
    if argument.choices is not None:
        return False
    return max(each.likelihood for each in weighed) < _MORE_LIKELY_THAN_NOT


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _assign(
    weighed: Mapping[str, Sequence[_Weighed]], reuse_penalty: float
) -> dict[str, ArgumentValue]:
    """Returns the most probable assignment of all arguments, by beam search.

    A span of the request is seldom meant for two arguments, so each reuse costs `reuse_penalty` nats.
    """
    beam: list[tuple[float, dict[str, ArgumentValue]]] = [(0.0, {})]
    for name, candidates in weighed.items():
        logs = _distribution(candidates).logs()
        grown = [
            (
                total + logs[each.value.name] - reuse_penalty * _reuses(each.value, assigned),
                {**assigned, name: each.value},
            )
            for total, assigned in beam
            for each in candidates
        ]
        beam = sorted(grown, key=lambda pair: -pair[0])[:_BEAM]
    return beam[0][1]


def _reuses(value: ArgumentValue, assigned: Mapping[str, ArgumentValue]) -> int:
    return sum(other.json == value.json for other in assigned.values()) if value.is_span else 0


def _distribution(weighed: Sequence[_Weighed]) -> Distribution:
    logits = {each.value.name: each.logit for each in weighed}
    return Distribution.from_logits(logits, source="scores")


def _decision(
    tool: ToolSpec,
    weighed: Mapping[str, Sequence[_Weighed]],
    chosen: Mapping[str, ArgumentValue],
) -> ArgumentsDecision:
    decisions = tuple(
        ArgumentDecision(
            name=name,
            value=value.value,
            given=value.json is not None,
            candidates=tuple(
                Candidate(name=option, probability=probability)
                for option, probability in _distribution(weighed[name]).ranked()
            ),
            grounds=value.grounds,
        )
        for name, value in chosen.items()
    )
    return ArgumentsDecision(
        arguments={name: value.value for name, value in chosen.items() if value.json is not None},
        decisions=decisions,
        missing=tuple(
            name for name in chosen if name in tool.required and chosen[name].json is None
        ),
    )

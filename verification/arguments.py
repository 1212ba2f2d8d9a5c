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
from ..models import GenerateConfig, MemoModel, Model, ModelOutput, Prompt, ScoreItem
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
    span_bonus: float = 2.0
    """Nats for a value that request or context write out over one that the model made of it."""
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


@dataclass(frozen=True, kw_only=True)
class _Asking:
    """What arguments are decided from."""

    tool: ToolSpec
    request: str
    context: str

    def prompt(self, name: str | None) -> Prompt:
        return arguments_prompt(self.tool, self.request, self.context, name=name)

    def items(self, values: Mapping[str, Sequence[ArgumentValue]]) -> list[ScoreItem]:
        prompts = {name: self.prompt(name) for name in values}
        return [
            ScoreItem(prompt=prompts[name], continuation=value.json or "null", end=True)
            for name, candidates in values.items()
            for value in candidates
        ]


@dataclass(frozen=True)
class ArgumentDecider:
    """Decides arguments with one model. Frozen; it holds no state of a decision, only remembered priors."""

    model: Model
    weights: ArgumentWeights = ArgumentWeights()
    priors: MemoModel = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "priors", MemoModel(self.model))

    async def decide(
        self,
        request: str,
        tool: ToolSpec,
        *,
        context: str = "",
        failed: Sequence[Mapping[str, Any]] = (),
    ) -> ArgumentsDecision:
        """Returns the arguments that the request asks for.

        Args:
            request: what the user wants.
            tool: the tool that was chosen.
            context: what earlier steps found out; values may come from it.
            failed: arguments of calls that failed; they are not decided again where there is another way.

        Raises:
            ModelError: the backend failed.
        """
        if not tool.properties:
            return ArgumentsDecision(arguments={}, decisions=(), missing=())
        arguments = [Argument(tool, name) for name in tool.properties]
        listed = {each.name: listed_values(each, request, context) for each in arguments}
        asking = _Asking(tool=tool, request=request, context=context)
        try:
            weighed, usage = await self._weigh(listed, asking)
        except NotSupportedError:
            return await self._draw_whole(asking)
        unsure = [each for each in arguments if _needs_draw(each, weighed[each.name])]
        drawn, left_out, cost = await self._draw(unsure, weighed, asking)
        usage += cost
        if drawn:
            more, cost = await self._weigh(drawn, asking)
            usage += cost
            weighed |= {name: _joined(weighed[name], more[name]) for name in more}
        chosen = self._assign(weighed, failed)
        return replace(_decision(tool, weighed, chosen), left_out=left_out, usage=usage)

    async def _weigh(
        self, values: Mapping[str, Sequence[ArgumentValue]], asking: _Asking
    ) -> tuple[dict[str, list[_Weighed]], Usage]:
        """Returns every value weighed, by argument: by its likelihood, where the request supports it.

        What the request writes out is supported. A choice of the schema is, where the request makes it likelier by `support`
        nats than "not given", and a drawn value, where it makes it likelier by that much than an empty request.
        """
        asked = await self.model.score(asking.items(values))
        doubtful = {
            name: [value for value in candidates if value.needs_support]
            for name, candidates in values.items()
        }
        empty = await self.priors.score(replace(asking, request="", context="").items(doubtful))
        likelihoods, priors = iter(asked.values), iter(empty.values)
        weighed: dict[str, list[_Weighed]] = {}
        for name, candidates in values.items():
            scored = {value: next(likelihoods) for value in candidates}
            added = {value: scored[value] - next(priors) for value in doubtful[name]}
            weighed[name] = [
                _Weighed(
                    value=value,
                    likelihood=scored[value],
                    logit=scored[value] + self.weights.span_bonus * value.is_span
                    if self._supports(value, added)
                    else -math.inf,
                )
                for value in candidates
            ]
        return weighed, asked.usage + empty.usage

    def _supports(self, value: ArgumentValue, added: Mapping[ArgumentValue, float]) -> bool:
        if value.json is None or not value.needs_support:
            return True
        rival = added[NOTHING] if value.grounds == "schema" else 0.0
        return added[value] - rival >= self.weights.support

    async def _draw(
        self,
        arguments: Sequence[Argument],
        weighed: Mapping[str, Sequence[_Weighed]],
        asking: _Asking,
    ) -> tuple[dict[str, list[ArgumentValue]], tuple[str, ...], Usage]:
        """Returns for each argument the value that the model itself writes under the schema, where it is a new one.

        Where a required argument seems not to be given, the model is pressed for a value: null is no way out, but the
        request must support what comes. The second thing returned is what failed.
        """
        pressed = {
            each.name
            for each in arguments
            if each.required and _best(weighed[each.name]) == NOTHING
        }

        async def draw(argument: Argument) -> ModelOutput | ModelError:
            schema = argument.own_schema
            shape = schema if argument.name in pressed else _nullable(schema)
            try:
                return await self.model.generate(
                    asking.prompt(argument.name), shape=argument.within(shape), config=_DRAW
                )
            except ModelError as error:
                return error

        values: dict[str, list[ArgumentValue]] = {}
        left_out: list[str] = []
        usage = Usage()
        outcomes = await gather_bounded(arguments, draw, limit=len(arguments) or 1)
        for argument, outcome in zip(arguments, outcomes, strict=True):
            if isinstance(outcome, ModelError):
                left_out.append(f"draw of {argument.name}: {outcome}")
                continue
            usage += outcome.usage
            value = drawn_value(
                argument,
                json.loads(outcome.text),
                asking.request,
                asking.context,
                pressed=argument.name in pressed,
            )
            known = {each.value.json for each in weighed[argument.name]}
            if value.json is not None and (value.pressed or value.json not in known):
                values[argument.name] = [value]
        return values, tuple(left_out), usage

    async def _draw_whole(self, asking: _Asking) -> ArgumentsDecision:
        """Decides with a model that cannot score: it writes all arguments at once, null for what is not given."""
        tool = asking.tool
        arguments = [Argument(tool, name) for name in tool.properties]
        whole = {
            "type": "object",
            "properties": {each.name: _nullable(each.own_schema) for each in arguments},
            "required": list(tool.properties),
            "additionalProperties": False,
        }
        output = await self.model.generate(
            asking.prompt(None), shape=arguments[0].within(whole), config=_DRAW_WHOLE
        )
        drawn = json.loads(output.text)
        chosen = {
            each.name: drawn_value(each, drawn[each.name], asking.request, asking.context)
            for each in arguments
        }
        certain = {
            name: [_Weighed(value=value, likelihood=0.0, logit=0.0)]
            for name, value in chosen.items()
        }
        return replace(_decision(tool, certain, chosen), usage=output.usage)

    def _assign(
        self, weighed: Mapping[str, Sequence[_Weighed]], failed: Sequence[Mapping[str, Any]]
    ) -> dict[str, ArgumentValue]:
        """Returns the most probable assignment of all arguments, by beam search; where it has failed, one with other values.

        A span of the request is seldom meant for two arguments, so each reuse costs `reuse_penalty` nats.
        """
        beam: list[tuple[float, dict[str, ArgumentValue]]] = [(0.0, {})]
        for name, candidates in weighed.items():
            logs = _distribution(candidates).logs()
            grown = [
                (
                    total
                    + logs[each.value.name]
                    - self.weights.reuse_penalty * _reuses(each.value, assigned),
                    {**assigned, name: each.value},
                )
                for total, assigned in beam
                for each in candidates
            ]
            beam = sorted(grown, key=lambda pair: -pair[0])[:_BEAM]
        best = beam[0][1]
        wanted = _given(best).keys()
        for total, assigned in beam:
            given = _given(assigned)
            if total > -math.inf and given not in failed and given.keys() == wanted:
                return assigned
        return best


def _needs_draw(argument: Argument, weighed: Sequence[_Weighed]) -> bool:
    """Whether the model might write something better than the listed values.

    It cannot where one of them is more likely than not, and it must not where the schema lists all there are. "Not given" is
    no good answer for a required argument, however likely.
    """
    if argument.choices is not None:
        return False
    if argument.required and _best(weighed) == NOTHING:
        return True
    return max(each.likelihood for each in weighed) < _MORE_LIKELY_THAN_NOT


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _joined(listed: Sequence[_Weighed], drawn: Sequence[_Weighed]) -> list[_Weighed]:
    """Returns listed and drawn values together.

    A value that the model was pressed for takes the place of "not given" where the request supports it; otherwise it does
    not count.
    """
    if not drawn[0].value.pressed:
        return [*listed, *drawn]
    if drawn[0].logit == -math.inf:
        return list(listed)
    return [*(each for each in listed if each.value not in (NOTHING, drawn[0].value)), *drawn]


def _best(weighed: Sequence[_Weighed]) -> ArgumentValue:
    return max(weighed, key=lambda each: each.logit).value


def _given(assigned: Mapping[str, ArgumentValue]) -> dict[str, Any]:
    return {name: value.value for name, value in assigned.items() if value.json is not None}


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
        arguments=_given(chosen),
        decisions=decisions,
        missing=tuple(
            name for name in chosen if name in tool.required and chosen[name].json is None
        ),
    )

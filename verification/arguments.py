"""The decision of a call's arguments: candidates from request and schema, weighed in one batch.

Every argument is a decision among candidate values and "not given". Values come from the request's own spans of the right type,
from the schema (enum, boolean, const), and, for free text, from a draw under the schema. All candidates of all arguments are scored
in one batch over one cached prompt. A required argument that nothing gives is reported as missing and never invented.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
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
from .prompts import arguments_prompt
from .spans import is_verbatim, number_spans, string_spans

NOT_GIVEN = "not given"
"""Name of the candidate that stands for an argument that the request does not give."""

_DRAW = GenerateConfig(max_tokens=96)
_DRAW_WHOLE = GenerateConfig(max_tokens=1024)
_BEAM = 64


@dataclass(frozen=True, kw_only=True)
class ArgumentWeights:
    """How the log-scores of a value are put together."""

    likelihood: float = 0.3
    """Weight of log p(value | tool, request)."""
    information: float = 0.5
    """Weight of log p(value | tool, request) - log p(value | tool, empty request): what the request adds."""
    grounded_bonus: float = 1.0
    """Nats for a value that the request writes out."""
    reuse_penalty: float = 4.0
    """Nats off for each value that stands in two arguments of one call."""
    draw_gate: float = 0.5
    """Margin below which the model is asked to write a value of its own besides the request's spans."""
    draw_information: float = 3.0
    """Nats that the request must add to a drawn value that it does not write out; less counts as invented."""


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


@dataclass(frozen=True)
class _Value:
    """A candidate value; None as `json` is "not given"."""

    value: Any
    json: str | None
    grounds: str

    @property
    def name(self) -> str:
        return NOT_GIVEN if self.json is None else self.json


_NOTHING = _Value(value=None, json=None, grounds="none")


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
        values = {
            name: _propose(Argument(tool, name), request, context) for name in tool.properties
        }
        try:
            logits, usage = await self._weigh(values, request, tool, context)
        except NotSupportedError:
            return await self._draw_whole(request, tool, context)
        unsure = [name for name in values if self._needs_draw(tool, name, logits[name])]
        drawn, left_out, cost = await self._draw(unsure, request, tool, context)
        usage += cost
        new = {
            name: [value]
            for name, value in drawn.items()
            if value.json not in {known.json for known in values[name]}
        }
        if new:
            more, cost = await self._weigh(new, request, tool, context)
            usage += cost
            for name in new:
                values[name] = values[name] + new[name]
                logits[name] = logits[name] | more[name]
        distributions = {
            name: Distribution.from_logits(by_name, source="scores")
            for name, by_name in logits.items()
        }
        chosen = _assign(values, distributions, self.weights.reuse_penalty)
        return replace(_decision(tool, distributions, chosen, usage), left_out=left_out)

    def _needs_draw(self, tool: ToolSpec, name: str, logits: dict[str, float]) -> bool:
        """Whether the model should also write a value: it is free text, and what the request's spans gave is not sure."""
        if Argument(tool, name).choices is not None:
            return False
        distribution = Distribution.from_logits(logits, source="scores")
        if distribution.best == NOT_GIVEN:
            return name in tool.required or len(logits) == 1
        return distribution.margin < self.weights.draw_gate

    async def _draw(
        self, names: Sequence[str], request: str, tool: ToolSpec, context: str
    ) -> tuple[dict[str, _Value], tuple[str, ...], Usage]:
        """Returns for each name the value that the model itself writes under the schema, and what failed."""

        async def draw(name: str) -> ModelOutput | ModelError:
            try:
                return await self.model.generate(
                    arguments_prompt(tool, request, context, f"{{{json.dumps(name)}: "),
                    shape=Argument(tool, name).within(_nullable(tool.properties[name])),
                    config=_DRAW,
                )
            except ModelError as error:
                return error

        values: dict[str, _Value] = {}
        left_out: list[str] = []
        usage = Usage()
        outcomes = await gather_bounded(names, draw, limit=len(names) or 1)
        for name, outcome in zip(names, outcomes, strict=True):
            if isinstance(outcome, ModelError):
                left_out.append(f"draw of {name}: {outcome}")
                continue
            usage += outcome.usage
            drawn = json.loads(outcome.text)
            values[name] = _checked(Argument(tool, name), drawn, request, context)
        return values, tuple(left_out), usage

    async def _draw_whole(self, request: str, tool: ToolSpec, context: str) -> ArgumentsDecision:
        """Decides with a model that cannot score: it writes all arguments at once, null for what is not given."""
        whole = {
            "type": "object",
            "properties": {name: _nullable(schema) for name, schema in tool.properties.items()},
            "required": list(tool.properties),
            "additionalProperties": False,
        }
        arguments = [Argument(tool, name) for name in tool.properties]
        prompt = arguments_prompt(tool, request, context, "")[:-1]
        output = await self.model.generate(
            prompt, shape=arguments[0].within(whole), config=_DRAW_WHOLE
        )
        drawn = json.loads(output.text)
        chosen = {
            argument.name: _checked(argument, drawn[argument.name], request, context)
            for argument in arguments
        }
        certain = {
            name: Distribution(options=(value.name,), probabilities=(1.0,), source="votes")
            for name, value in chosen.items()
        }
        return _decision(tool, certain, chosen, output.usage)

    async def _weigh(
        self, values: dict[str, list[_Value]], request: str, tool: ToolSpec, context: str
    ) -> tuple[dict[str, dict[str, float]], Usage]:
        """Returns the logit of every value by argument and name, all scored in one batch."""
        asked = await self.model.score(_items(values, request, tool, context))
        empty = await self.priors.score(_items(values, "", tool, ""))
        scores = iter(zip(asked.values, empty.values, strict=True))
        logits: dict[str, dict[str, float]] = {}
        for name, candidates in values.items():
            logits[name] = {}
            for value in candidates:
                likelihood, prior = next(scores)
                logits[name][value.name] = self._logit(value, likelihood, likelihood - prior)
        return logits, asked.usage + empty.usage

    def _logit(self, value: _Value, likelihood: float, information: float) -> float:
        weights = self.weights
        logit = weights.likelihood * likelihood + weights.information * information
        if value.grounds in ("request", "context"):
            return logit + weights.grounded_bonus
        if value.grounds == "draw" and information < weights.draw_information:
            return logit - 100.0
        return logit


def _propose(argument: Argument, request: str, context: str) -> list[_Value]:
    """Returns the candidates that need no model, "not given" first."""
    values: list[_Value] = []
    if argument.choices is not None:
        values = [_value(value, "schema") for value in argument.choices]
    else:
        for text, grounds in ((request, "request"), (context, "context")):
            spans: list[Any] = []
            if argument.takes("number") or argument.takes("integer"):
                spans += number_spans(text)
            if argument.takes("string"):
                spans += string_spans(text)
            values += [_value(span, grounds) for span in spans if argument.fits(span)]
    # The first of equal values stands: what the request says is not what only the context says.
    return list({value.json: value for value in reversed([_NOTHING, *values])}.values())[::-1]


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _value(value: Any, grounds: str) -> _Value:
    return _Value(value=value, json=json.dumps(value, ensure_ascii=False), grounds=grounds)


def _checked(argument: Argument, drawn: Any, request: str, context: str) -> _Value:
    """Returns what the model wrote as a candidate; "not given" where it is empty or does not fit."""
    if drawn is None or drawn == "" or not argument.fits(drawn):
        return _NOTHING
    if is_verbatim(drawn, request):
        return _value(drawn, "request")
    return _value(drawn, "context" if is_verbatim(drawn, context) else "draw")


def _items(
    candidates: dict[str, list[_Value]], request: str, tool: ToolSpec, context: str
) -> list[ScoreItem]:
    # The blank before a value belongs to the continuation: tokenizers join it to what follows.
    return [
        ScoreItem(
            prompt=arguments_prompt(tool, request, context, f"{{{json.dumps(name)}:"),
            continuation=f" {value.json or 'null'}}}",
        )
        for name, values in candidates.items()
        for value in values
    ]


def _assign(
    values: dict[str, list[_Value]],
    distributions: dict[str, Distribution],
    reuse_penalty: float,
) -> dict[str, _Value]:
    """Returns the most probable assignment of all arguments, by beam search.

    A span of the request is seldom meant for two arguments, so each reuse costs `reuse_penalty` nats.
    """
    beam: list[tuple[float, dict[str, _Value]]] = [(0.0, {})]
    for name, options in values.items():
        logs = dict(
            zip(distributions[name].options, distributions[name].probabilities, strict=True)
        )
        grown = [
            (
                total
                + math.log(max(logs[value.name], 1e-300))
                - reuse_penalty * _reuses(value, assigned),
                {**assigned, name: value},
            )
            for total, assigned in beam
            for value in options
        ]
        beam = sorted(grown, key=lambda pair: -pair[0])[:_BEAM]
    return beam[0][1]


def _reuses(value: _Value, assigned: dict[str, _Value]) -> int:
    if value.grounds not in ("request", "context"):
        return 0
    return sum(other.json == value.json for other in assigned.values())


def _decision(
    tool: ToolSpec,
    distributions: dict[str, Distribution],
    chosen: dict[str, _Value],
    usage: Usage,
) -> ArgumentsDecision:
    decisions = tuple(
        ArgumentDecision(
            name=name,
            value=value.value,
            given=value.json is not None,
            candidates=tuple(
                Candidate(name=option, probability=probability)
                for option, probability in distributions[name].ranked()
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
        usage=usage,
    )

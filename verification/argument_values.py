"""The values that an argument can have: where they come from, and which there are before any model is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from .argument_schema import Argument
from .spans import is_verbatim, number_spans, string_spans

NOT_GIVEN = "not given"
"""Name of the candidate that stands for an argument that the request does not give."""


@dataclass(frozen=True)
class ArgumentValue:
    """A candidate value."""

    value: Any = field(compare=False)
    json: str | None
    """The value as JSON text; None stands for "not given"."""
    grounds: str
    """Where it comes from: ``request``, ``context``, ``schema``, ``draw`` or ``none``."""

    pressed: bool = field(default=False, compare=False)
    """Whether the model was pressed for it, because the request seemed not to give the argument."""

    @property
    def name(self) -> str:
        """The candidate's name in records."""
        return NOT_GIVEN if self.json is None else self.json

    @property
    def is_span(self) -> bool:
        """Whether request or context write it out."""
        return self.grounds in ("request", "context")

    @property
    def needs_support(self) -> bool:
        """Whether it counts only where the request makes it likelier."""
        return self.pressed or not self.is_span


NOTHING = ArgumentValue(value=None, json=None, grounds="none")


def value_from(value: Any, grounds: str) -> ArgumentValue:
    """Returns a value of plain JSON data as a candidate."""
    return ArgumentValue(value=value, json=json.dumps(value, ensure_ascii=False), grounds=grounds)


def listed_values(argument: Argument, request: str, context: str) -> list[ArgumentValue]:
    """Returns the candidates that need no model: "not given", then the schema's choices or the text's spans that fit."""
    values = [NOTHING]
    if argument.choices is not None:
        values += [value_from(value, "schema") for value in argument.choices]
    else:
        for text, grounds in ((request, "request"), (context, "context")):
            spans: list[Any] = []
            if argument.takes("number") or argument.takes("integer"):
                spans += number_spans(text)
            if argument.takes("string"):
                spans += string_spans(text)
            values += [value_from(span, grounds) for span in spans if argument.fits(span)]
    first: dict[str | None, ArgumentValue] = {}
    for value in values:
        # What the request says is not what only the context says, so the first of equal values stands.
        first.setdefault(value.json, value)
    return list(first.values())


def drawn_value(
    argument: Argument, drawn: Any, request: str, context: str, *, pressed: bool = False
) -> ArgumentValue:
    """Returns what a model wrote as a candidate; "not given" where it is null, empty, or does not fit."""
    if drawn is None or drawn == "" or not argument.fits(drawn):
        return NOTHING
    if is_verbatim(drawn, request):
        grounds = "request"
    else:
        grounds = "context" if is_verbatim(drawn, context) else "draw"
    return replace(value_from(drawn, grounds), pressed=pressed)

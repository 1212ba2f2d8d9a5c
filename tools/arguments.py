"""Arguments checked against a tool's schema, with messages that a model can act on."""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from ..core import Problem
from .json_text import JsonError, path_to, plain, shortened, shown
from .spec import ToolSpec
from .validator import FORMATS, TooComplexError, validator_of, violations

MAX_PROBLEMS = 8
"""How many problems of one call are told; a model corrects a few at a time."""


def argument_problems(spec: ToolSpec, arguments: Any) -> list[Problem]:
    """Returns what is wrong with a call's arguments: which one, what it was, what was expected.

    A path names the argument (``city``, ``stops[2].name``) and is empty where all arguments together are meant. The
    validator is built once per schema. `spec` must be without problems of its own.
    """
    try:
        arguments = plain(arguments)
    except JsonError as error:
        return [Problem(path="", message=str(error))]
    text = json.dumps(spec.parameters, ensure_ascii=False)
    try:
        told = list(dict.fromkeys(_told(violations(_validator(text), arguments))))
    except (TooComplexError, RecursionError, OverflowError):
        message = "too deep, too large or too complex to be checked; simplify them"
        return [Problem(path="", message=message)]
    problems = [Problem(path=path_to("", *place), message=message) for place, message in told]
    if len(problems) > MAX_PROBLEMS:
        rest = len(problems) - MAX_PROBLEMS
        problems[MAX_PROBLEMS:] = [Problem(path="", message=f"{rest} more problems of this kind")]
    return problems


@functools.lru_cache(maxsize=4096)
def _validator(text: str) -> Any:
    return validator_of(json.loads(text))


Told = tuple[tuple[str | int, ...], str]


def _told(errors: Iterable[Any]) -> Iterator[Told]:
    for error in errors:
        if error.validator == "anyOf" or (error.validator == "oneOf" and error.context):
            yield from _told_of_choice(error)
        else:
            yield tuple(error.absolute_path), _message(error)


def _told_of_choice(error: Any) -> Iterator[Told]:
    """Tells of the one form that was meant, where the value's type says which; otherwise of all forms."""
    forms: dict[int, list[Any]] = {}
    for inner in error.context:
        if inner.schema is not False:  # a form that allows nothing cannot have been meant
            forms.setdefault(inner.schema_path[0], []).append(inner)
    meant = [form for form in forms.values() if not _is_other_type(form, error)]
    if len(meant) == 1:
        yield from _told(meant[0])
        return
    place = tuple(error.absolute_path)
    if not meant:
        types = [name for form in forms.values() for name in _type_names(form[0].validator_value)]
        yield place, _expected(_either(dict.fromkeys(types)), error)
        return
    told = [next(_told(form)) for form in meant[:3]]
    reasons = "; ".join(
        f"({number}) {path_to('', *where[len(place) :])} {message}".replace(")  ", ") ")
        for number, (where, message) in enumerate(told, start=1)
    )
    yield place, f"fits none of its {len(forms)} forms: {reasons}"


def _is_other_type(form: list[Any], choice: Any) -> bool:
    return any(
        inner.validator == "type" and len(inner.absolute_path) == len(choice.absolute_path)
        for inner in form
    )


def _message(error: Any) -> str:
    if error.schema is False:
        return f"nothing is allowed here, got {shown(error.instance)}"
    describe = _DESCRIBE.get(error.validator)
    if describe is not None:
        return describe(error)
    return f"does not fit {shown({error.validator: error.validator_value})}, got {shown(error.instance)}"


def _expected(what: str, error: Any) -> str:
    return f"expected {what}, got {shown(error.instance)}"


def _type(error: Any) -> str:
    kind = _kind(error.instance)
    return f"{_expected(_either(_type_names(error.validator_value)), error)} ({kind})"


def _enum(error: Any) -> str:
    options = error.validator_value
    names = [option for option in options if isinstance(option, str)]
    message = _expected(_either([shown(option) for option in options[:20]]), error)
    if len(options) > 20:
        message = f"{message}; {len(options) - 20} more values are allowed"
    return message + did_you_mean(error.instance, names)


def _const(error: Any) -> str:
    return _expected(shown(error.validator_value), error)


def _missing(error: Any) -> str:
    schema = error.schema.get("properties", {}).get(error.path[-1])
    kind = schema.get("type") if isinstance(schema, dict) else None
    what = f" ({_either(_type_names(kind))})" if kind is not None else ""
    return f"is required{what}, but was not given"


def _unknown(error: Any) -> str:
    known = list(error.schema.get("properties", {}))
    listed = shortened(", ".join(known), limit=300) if known else "none"
    return f"there is no such argument; there are: {listed}{did_you_mean(error.path[-1], known)}"


def _pattern(error: Any) -> str:
    pattern = shortened(error.validator_value, limit=200)
    return _expected(f"text that matches the regular expression {pattern}", error)


def _format(error: Any) -> str:
    return _expected(FORMATS[error.validator_value][1], error)


def _bound(words: str) -> Callable[[Any], str]:
    return lambda error: _expected(words.format(shown(error.validator_value)), error)


def _length(words: str) -> Callable[[Any], str]:
    def describe(error: Any) -> str:
        wanted = words.format(error.validator_value)
        return f"expected {wanted}, got {len(error.instance)}: {shown(error.instance)}"

    return describe


_DESCRIBE: dict[str, Callable[[Any], str]] = {
    "additionalProperties": _unknown,
    "const": _const,
    "enum": _enum,
    "exclusiveMaximum": _bound("a number below {}"),
    "exclusiveMinimum": _bound("a number above {}"),
    "format": _format,
    "maxItems": _length("at most {} items"),
    "maxLength": _length("at most {} characters"),
    "maxProperties": _length("at most {} entries"),
    "maximum": _bound("a number up to {}"),
    "minItems": _length("at least {} items"),
    "minLength": _length("at least {} characters"),
    "minProperties": _length("at least {} entries"),
    "minimum": _bound("a number from {} up"),
    "multipleOf": _bound("a multiple of {}"),
    "pattern": _pattern,
    "required": _missing,
    "type": _type,
    "uniqueItems": _bound("items that all differ"),
}


def did_you_mean(given: Any, known: Iterable[str]) -> str:
    """Returns a sentence's end that names the known word nearest to `given`, or nothing."""
    if not isinstance(given, str):
        return ""
    folded = {word.casefold(): word for word in known}
    near = difflib.get_close_matches(given[:200].casefold(), folded, n=1)
    return f"; did you mean {shown(folded[near[0]])}?" if near else ""


def _type_names(types: Any) -> list[str]:
    return [types] if isinstance(types, str) else list(types)


def _either(names: Collection[str]) -> str:
    *others, last = names or ["nothing"]
    return f"{', '.join(others)} or {last}" if others else last


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return kinds.get(type(value), "object")

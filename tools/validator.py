"""JSON Schema validators that a hostile schema cannot turn against the run.

They are `jsonschema`'s, with three changes. Regular expressions run in linear time, in the engine that pydantic
brings, because the standard library's can take years over thirty characters; an expression that only a backtracking
engine could run (look-around, back-references) is not checked. The number of references followed in one check is
bounded, because references to references multiply. And nothing is ever fetched.
"""

from __future__ import annotations

import contextvars
import datetime
import functools
import ipaddress
import re
import uuid
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker
from jsonschema import ValidationError as SchemaViolation
from jsonschema.validators import extend
from pydantic_core import SchemaError, SchemaValidator, core_schema
from referencing import Registry, Specification
from referencing.jsonschema import DRAFT7, DRAFT202012

MAX_REFERENCES = 10_000
"""How many references one check of a value may follow."""

_references_left = contextvars.ContextVar("references_left", default=MAX_REFERENCES)


class TooComplexError(Exception):
    """A check that would have followed more than `MAX_REFERENCES` references."""


def draft_of(schema: dict[str, Any]) -> str | None:
    """Returns ``2020-12`` or ``7``, or None where ``$schema`` names something else."""
    named = schema.get("$schema", "https://json-schema.org/draft/2020-12/schema")
    known = {"https://json-schema.org/draft/2020-12/schema": "2020-12"}
    known |= {f"{scheme}://json-schema.org/draft-07/schema": "7" for scheme in ("http", "https")}
    return known.get(named.removesuffix("#")) if isinstance(named, str) else None


def violations(validator: Any, value: Any) -> Iterator[Any]:
    """Yields the `jsonschema.ValidationError`s of the value; `validator` is one of `validator_of`.

    Raises:
        TooComplexError: the check would take too long.
        RecursionError: schema or value are nested too deeply.
    """
    _references_left.set(MAX_REFERENCES)
    yield from validator.iter_errors(value)


def validator_of(schema: dict[str, Any]) -> Any:
    """Returns a new validator of a schema that has no problems."""
    validator = _Draft7 if draft_of(schema) == "7" else _Draft202012
    return validator(schema, registry=Registry(), format_checker=_formats)


def metaschema_violations(schema: Any, draft: str) -> Iterator[Any]:
    """Yields the `jsonschema.ValidationError`s of the schema as a schema of that draft."""
    validator = Draft7Validator if draft == "7" else Draft202012Validator
    yield from validator(validator.META_SCHEMA).iter_errors(schema)


def specification_of(draft: str) -> Specification[Any]:
    """Returns how references are resolved in that draft."""
    return DRAFT7 if draft == "7" else DRAFT202012


@functools.lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> Callable[[str], bool] | None:
    """Returns whether a text has a match, as a function; None where only a backtracking engine could tell.

    Raises:
        ValueError: it is not a regular expression.
    """
    try:
        matcher = SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python would read otherwise in future
            try:
                re.compile(pattern)
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(str(error) or "too deep") from None
        return None
    return matcher.isinstance_python


def _matches(pattern: str, text: str) -> bool:
    matcher = compile_pattern(pattern)
    return matcher is None or matcher(text)


def _pattern(validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "string") and not _matches(pattern, instance):
        yield SchemaViolation("does not match")


def _pattern_properties(
    validator: Any, patterns: dict[str, Any], instance: Any, _schema: Any
) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, subschema in patterns.items():
        for key, value in instance.items():
            if _matches(pattern, key):
                yield from validator.descend(value, subschema, path=key, schema_path=pattern)


def _additional_properties(
    validator: Any, additional: Any, instance: Any, schema: dict[str, Any]
) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    known = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    for key, value in instance.items():
        if key in known or any(_matches(pattern, key) for pattern in patterns):
            continue
        if additional is False:
            yield SchemaViolation("unknown", path=[key])
        else:
            yield from validator.descend(value, additional, path=key)


def _required(validator: Any, names: list[str], instance: Any, _schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "object"):
        for name in names:
            if name not in instance:
                yield SchemaViolation("missing", path=[name])


def _counted(keyword: Callable[..., Iterator[Any] | None]) -> Callable[..., Iterator[Any]]:
    def check(validator: Any, reference: str, instance: Any, schema: Any) -> Iterator[Any]:
        left = _references_left.get()
        if left == 0:
            raise TooComplexError
        _references_left.set(left - 1)
        yield from keyword(validator, reference, instance, schema) or ()

    return check


def _bounded(validator: Any) -> Any:
    keywords = {
        "additionalProperties": _additional_properties,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "required": _required,
    }
    for reference in ("$ref", "$dynamicRef"):
        if reference in validator.VALIDATORS:
            keywords[reference] = _counted(validator.VALIDATORS[reference])
    return extend(validator, keywords)  # type: ignore[no-untyped-call]


_Draft7 = _bounded(Draft7Validator)
_Draft202012 = _bounded(Draft202012Validator)

_TIME = r"\d\d:\d\d(:\d\d(\.\d+)?)?(z|[+-]\d\d:\d\d)?"


def _is_date(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text) and datetime.date.fromisoformat(text))


def _is_time(text: str) -> bool:
    if not re.fullmatch(_TIME, text, re.IGNORECASE | re.ASCII):
        return False
    datetime.time.fromisoformat(text.upper())
    return True


def _is_date_time(text: str) -> bool:
    return _is_date(text[:10]) and text[10:11] in ("T", "t", " ") and _is_time(text[11:])


def _is_uuid(text: str) -> bool:
    return str(uuid.UUID(text)) == text.lower()


def _is_ip(version: int, text: str) -> bool:
    address = ipaddress.ip_address(text)
    return address.version == version and "%" not in text


FORMATS: dict[str, tuple[Callable[[str], bool], str]] = {
    "date": (_is_date, "a date such as 2026-05-31"),
    "date-time": (_is_date_time, "a date and time such as 2026-05-31T14:30:00Z"),
    "time": (_is_time, "a time such as 14:30:00"),
    "uuid": (_is_uuid, "a UUID such as 123e4567-e89b-12d3-a456-426614174000"),
    "ipv4": (functools.partial(_is_ip, 4), "an IPv4 address such as 192.0.2.1"),
    "ipv6": (functools.partial(_is_ip, 6), "an IPv6 address such as 2001:db8::1"),
}
"""The formats that are checked, each with what is expected. A time may leave out its seconds and its offset, as
wall-clock times do. Other formats are for the model to read."""


def _format_checker() -> Any:
    checker = FormatChecker(formats=())
    for name, (check, _) in FORMATS.items():
        only_text = functools.partial(_unless_text, check)
        checker.checks(name, raises=ValueError)(only_text)
    return checker


def _unless_text(check: Callable[[str], bool], value: object) -> bool:
    return not isinstance(value, str) or check(value)


_formats = _format_checker()

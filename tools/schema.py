"""What can be wrong with a tool's JSON Schema, found before the tool is registered."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from referencing import Registry
from referencing.exceptions import Unresolvable

from ..core import Problem
from .json_text import JsonError, decode, path_to, plain, shortened, shown
from .validator import (
    compile_pattern,
    draft_of,
    metaschema_violations,
    specification_of,
)

MAX_EXPANSION = 10_000
"""How many schemas may apply to one value at once, references followed."""

_IN_PLACE = frozenset(
    ["allOf", "anyOf", "dependencies", "dependentSchemas", "else", "if", "not", "oneOf", "then"]
)
"""Keywords whose schemas apply to the very value that the schema itself applies to."""
_ONE = frozenset(
    [
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)
_LIST = frozenset(["allOf", "anyOf", "items", "oneOf", "prefixItems"])
_MAP = frozenset(
    ["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"]
)
_REFERENCES = ("$ref", "$dynamicRef")

Place = tuple[str | int, ...]


def schema_problems(schema: Any, *, path: str) -> list[Problem]:
    """Returns everything that keeps `schema` from being the JSON Schema of a tool's arguments.

    It must be valid in its draft (2020-12, or 7 where ``$schema`` says so), be of type object at the top, have every
    required argument among its properties, and refer to nothing outside itself. `path` is the schema's place.
    """
    try:
        text = json.dumps(plain(schema), ensure_ascii=False)
    except JsonError as error:
        return [Problem(path=path, message=str(error))]
    return [Problem(path=path_to(path, *place), message=message) for place, message in _found(text)]


@functools.lru_cache(maxsize=4096)
def _found(text: str) -> tuple[tuple[Place, str], ...]:
    schema = decode(text)
    if not isinstance(schema, dict):
        return (((), f"a JSON Schema object is expected, got {shown(schema)}"),)
    draft = draft_of(schema)
    if draft is None:
        named = shown(schema["$schema"])
        return ((("$schema",), f"{named} is not read; draft 2020-12 and draft 7 are"),)
    try:
        found = _against_metaschema(schema, draft)
        if not found:
            found = [
                *_at_top(schema),
                *_patterns(schema),
                *_unchecked(schema),
                *_identifiers(schema),
            ]
        if not found:
            found = list(_References(schema, draft).problems())
    except RecursionError:
        found = [((), "nested too deeply to be checked")]
    return tuple(dict.fromkeys(found))


def _against_metaschema(schema: dict[str, Any], draft: str) -> list[tuple[Place, str]]:
    found = [
        (tuple(error.absolute_path), f"not a valid schema: {shortened(error.message, limit=200)}")
        for error in metaschema_violations(schema, draft)
    ]
    return sorted(found, key=lambda item: ([str(key) for key in item[0]], item[1]))


def _at_top(schema: dict[str, Any]) -> Iterator[tuple[Place, str]]:
    if schema.get("type") != "object":
        got = shown(schema["type"]) if "type" in schema else "none"
        yield ("type",), f'the arguments\' schema must say "type": "object", got {got}'
    properties = schema.get("properties", {})
    for name, property_schema in properties.items():
        if not isinstance(property_schema, dict):
            message = f"a schema object is expected, got {shown(property_schema)}; {{}} allows all"
            yield ("properties", name), message
    for index, name in enumerate(schema.get("required", ())):
        if name not in properties:
            message = f"{shown(name)} is required, but not among the properties; describe it there"
            yield ("required", index), message


class _References:
    """The references of one schema: where they lead, and what comes of following them."""

    def __init__(self, schema: dict[str, Any], draft: str) -> None:
        self._draft = draft
        self._specification = specification_of(draft)
        self._root = schema
        self._targets: dict[tuple[int, str], Any] = {}
        """What each reference leads to, by the identity of the schema that it stands in and its keyword."""

    def problems(self) -> Iterator[tuple[Place, str]]:
        """Yields what is wrong with the references; loops are looked for only where all lead somewhere."""
        found = list(self._unresolved())
        yield from found or self._endless()

    def _unresolved(self) -> Iterator[tuple[Place, str]]:
        resource = self._specification.create_resource(self._root)
        inside = {id(schema) for _, schema in _descendants(self._root)}
        seen: set[int] = set()
        left: list[tuple[Place, Any, Any]] = [
            ((), self._root, Registry().resolver_with_root(resource))
        ]
        while left:
            place, schema, resolver = left.pop()
            if not isinstance(schema, dict) or id(schema) in seen:
                continue
            seen.add(id(schema))
            if "$id" in schema and schema is not self._root:
                resolver = resolver.in_subresource(self._specification.create_resource(schema))
            for keyword in _REFERENCES:
                if keyword not in schema:
                    continue
                try:
                    target = resolver.lookup(schema[keyword])
                except (Unresolvable, ValueError, TypeError, AttributeError):
                    # the last three from a pointer that goes through what holds nothing
                    yield (*place, keyword), _unresolved(schema[keyword])
                    continue
                if id(target.contents) not in inside:
                    bad = next(metaschema_violations(target.contents, self._draft), None)
                    if bad is not None:
                        message = (
                            f"leads to what is not a schema: {shortened(bad.message, limit=200)}"
                        )
                        yield (*place, keyword), message
                        continue
                self._targets[id(schema), keyword] = target.contents
                left.append(((*place, keyword), target.contents, target.resolver))
            children = [((*place, *below), child, resolver) for below, child in _children(schema)]
            left.extend(reversed(children))

    def _endless(self) -> Iterator[tuple[Place, str]]:
        """Finds references that come back without going down into the value, and those that multiply."""
        sizes: dict[int, int | None] = {}
        loops: list[str] = []

        def size(schema: Any, reference: str) -> int:
            if not isinstance(schema, dict):
                return 1
            if id(schema) in sizes:
                known = sizes[id(schema)]
                if known is None:
                    loops.append(reference)
                return known or 0
            sizes[id(schema)] = None
            total = 1
            for below, child in _children(schema):
                if below[0] in _IN_PLACE:
                    total += size(child, reference)
            for keyword in _REFERENCES:
                if (id(schema), keyword) in self._targets:
                    total += size(self._targets[id(schema), keyword], schema[keyword])
            sizes[id(schema)] = total
            return total

        starts = [self._root, *self._targets.values()]
        schemas = [schema for start in starts for _, schema in _descendants(start)]
        largest = max(size(schema, "") for schema in schemas)
        for reference in dict.fromkeys(loops):
            yield (), f"the reference {shown(reference)} leads back to itself and allows no value"
        if largest > MAX_EXPANSION:
            yield (), f"its references multiply: over {MAX_EXPANSION} schemas apply to one value"


def _patterns(schema: dict[str, Any]) -> Iterator[tuple[Place, str]]:
    for place, part in _descendants(schema):
        if "pattern" in part:
            try:
                compile_pattern(part["pattern"])
            except ValueError as error:
                message = f"{shown(part['pattern'])} is not a regular expression: {error}"
                yield (*place, "pattern"), message
        for pattern in part.get("patternProperties", ()):
            try:
                if compile_pattern(pattern) is None:
                    message = "look-around and back-references cannot be checked in bounded time"
                    yield (*place, "patternProperties", pattern), message
            except ValueError as error:
                message = f"not a regular expression: {error}"
                yield (*place, "patternProperties", pattern), message


def _unchecked(schema: dict[str, Any]) -> Iterator[tuple[Place, str]]:
    parts = list(_descendants(schema))
    if any("patternProperties" in part for _, part in parts):
        for place, part in parts:
            if "unevaluatedProperties" in part:
                message = "cannot be checked in a schema that has patternProperties as well"
                yield (*place, "unevaluatedProperties"), message


def _identifiers(schema: dict[str, Any]) -> Iterator[tuple[Place, str]]:
    for place, part in _descendants(schema):
        try:
            urlsplit(part.get("$id", ""))
        except ValueError as error:
            yield (*place, "$id"), f"not a URI: {error}"


def _descendants(schema: Any) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yields the schema and every schema written inside it, in the order of the text."""
    left: list[tuple[Place, Any]] = [((), schema)]
    while left:
        place, part = left.pop()
        if isinstance(part, dict):
            yield place, part
            children = [((*place, *below), child) for below, child in _children(part)]
            left.extend(reversed(children))


def _children(schema: dict[str, Any]) -> Iterator[tuple[Place, Any]]:
    for keyword, value in schema.items():
        if keyword in _LIST and isinstance(value, list):
            yield from (((keyword, index), child) for index, child in enumerate(value))
        elif keyword in _MAP:
            yield from (((keyword, name), child) for name, child in value.items())
        elif keyword in _ONE:
            yield (keyword,), value


def _unresolved(reference: str) -> str:
    if reference.startswith("#"):
        return f"the reference {shown(reference)} leads to nothing in this schema"
    return (
        f"the reference {shown(reference)} leads out of this schema and nothing is fetched; "
        'put what it means under "$defs" and refer to it as "#/$defs/NAME"'
    )

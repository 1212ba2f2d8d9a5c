"""Schemas are checked before a tool is registered, and arguments before it is called."""

import time
from typing import Any

import pytest

from toolverifier import tools
from toolverifier.core import ToolLibraryError
from toolverifier.tools import Tool, Toolset, ToolSpec, argument_problems


def problems_of(schema: Any) -> list[str]:
    library = [{"name": "act", "description": "Acts.", "parameters": schema}]
    try:
        Toolset.from_json(library)
    except ToolLibraryError as error:
        return [str(problem) for problem in error.problems]
    return []


def told(properties: dict[str, Any], arguments: Any, **keywords: Any) -> list[str]:
    parameters = {"type": "object", "properties": properties, **keywords}
    assert problems_of(parameters) == []
    spec = ToolSpec(name="act", description="Acts.", parameters=parameters)
    return [str(problem) for problem in argument_problems(spec, arguments)]


def test_public_names_are_sorted_and_there() -> None:
    assert sorted(tools.__all__) == list(tools.__all__)
    assert all(hasattr(tools, name) for name in tools.__all__)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {"next": {"$ref": "#"}}},
        {"type": "object", "properties": {"a": {"pattern": r"^\p{Lu}\d{2}$"}}},
        {"type": "object", "properties": {"a": {"pattern": "^(?!x)"}}},
        {"type": "object", "properties": {"$ref": {"enum": [{"$ref": "http://data.test"}]}}},
        {
            "type": "object",
            "$defs": {"n": {"$anchor": "here", "type": "string"}},
            "properties": {"a": {"$ref": "#here"}, "b": {"$dynamicRef": "#here"}},
        },
        {
            "type": "object",
            "shared": {"city": {"type": "string"}},
            "properties": {"a": {"$ref": "#/shared/city"}, "b": {"$ref": "#/shared/city"}},
        },
        {
            "type": "object",
            "$id": "https://host.test/root",
            "$defs": {"n": {"$id": "inner", "$ref": "#/$defs/m", "$defs": {"m": {}}}},
            "properties": {"a": {"$ref": "https://host.test/root#/$defs/n"}},
        },
        {
            "type": "object",
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"n": {"type": "string"}},
            "properties": {"a": {"$ref": "#/definitions/n"}},
            "dependencies": {"a": ["b"], "b": {"required": ["a"]}},
        },
    ],
)
def test_a_sound_schema_has_no_problems(schema: dict[str, Any]) -> None:
    assert problems_of(schema) == []


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ([], ["$[0].parameters: a JSON Schema object is expected, got []"]),
        (
            {"properties": {}},
            ['$[0].parameters.type: the arguments\' schema must say "type": "object", got none'],
        ),
        (
            {"type": "array"},
            ['$[0].parameters.type: the arguments\' schema must say "type": "object", got "array"'],
        ),
        (
            {"type": "object", "properties": {"city": {"type": "strin"}, "odd name": {"enum": 5}}},
            [
                "$[0].parameters.properties.city.type: not a valid schema: "
                "'strin' is not valid under any of the given schemas",
                '$[0].parameters.properties["odd name"].enum: not a valid schema: '
                "5 is not of type 'array'",
            ],
        ),
        (
            {"type": "object", "properties": {"a": True}, "required": ["a", "b"]},
            [
                "$[0].parameters.properties.a: a schema object is expected, got true; {} allows all",
                '$[0].parameters.required[1]: "b" is required, but not among the properties; '
                "describe it there",
            ],
        ),
        (
            {"type": "object", "$schema": "http://json-schema.org/draft-04/schema#"},
            [
                '$[0].parameters.$schema: "http://json-schema.org/draft-04/schema#" is not read; '
                "draft 2020-12 and draft 7 are"
            ],
        ),
        (
            {"type": "object", "$schema": 7},
            ["$[0].parameters.$schema: 7 is not read; draft 2020-12 and draft 7 are"],
        ),
        (
            {"type": "object", "properties": {"a": {"$id": "http://["}}},
            ["$[0].parameters.properties.a.$id: not a URI: Invalid IPv6 URL"],
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"pattern": "("}},
                "patternProperties": {"*": {}, "(?=a)": {}},
            },
            [
                '$[0].parameters.patternProperties["*"]: not a regular expression: '
                "nothing to repeat at position 0",
                '$[0].parameters.patternProperties["(?=a)"]: look-around and back-references '
                "cannot be checked in bounded time",
                '$[0].parameters.properties.a.pattern: "(" is not a regular expression: '
                "missing ), unterminated subpattern at position 0",
            ],
        ),
        (
            {
                "type": "object",
                "patternProperties": {"^x-": {}},
                "properties": {"a": {"unevaluatedProperties": False}},
            },
            [
                "$[0].parameters.properties.a.unevaluatedProperties: cannot be checked in a schema "
                "that has patternProperties as well"
            ],
        ),
        (
            {
                "type": "object",
                "required": [],
                "properties": {
                    "a": {"$ref": "http://schemas.test/city.json"},
                    "b": {"$ref": "#/$defs/none"},
                    "c": {"$ref": "#/required"},
                },
            },
            [
                '$[0].parameters.properties.a.$ref: the reference "http://schemas.test/city.json" '
                'leads out of this schema and nothing is fetched; put what it means under "$defs" '
                'and refer to it as "#/$defs/NAME"',
                '$[0].parameters.properties.b.$ref: the reference "#/$defs/none" leads to nothing '
                "in this schema",
                "$[0].parameters.properties.c.$ref: leads to what is not a schema: "
                "[] is not of type 'object', 'boolean'",
            ],
        ),
        (
            {
                "type": "object",
                "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}},
            },
            ['$[0].parameters: the reference "#/$defs/a" leads back to itself and allows no value'],
        ),
        (
            {
                "type": "object",
                "properties": {"x": {"$ref": "#/$defs/P/allOf/0"}},
                "$defs": {"P": {"allOf": [{"$ref": "#/$defs/P"}]}},
            },
            ['$[0].parameters: the reference "#/$defs/P" leads back to itself and allows no value'],
        ),
        (
            {
                "type": "object",
                "$defs": {"a40": {}}
                | {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)},
            },
            [
                "$[0].parameters: its references multiply: over 10000 schemas apply to one value",
            ],
        ),
        (
            {
                "type": "object",
                "$defs": {"a5000": {}}
                | {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(5000)},
            },
            ["$[0].parameters: nested too deeply to be checked"],
        ),
    ],
)
def test_every_problem_of_a_schema_is_told_with_its_place(schema: Any, expected: list[str]) -> None:
    assert problems_of(schema) == expected


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string"}, 5, "expected string, got 5 (integer)"),
        ({"type": ["string", "null"]}, 1.5, "expected string or null, got 1.5 (number)"),
        ({"type": "integer"}, True, "expected integer, got true (boolean)"),
        ({"type": "object"}, None, "expected object, got null (null)"),
        ({"type": "integer"}, "a" * 200, f'expected integer, got "{"a" * 79}… (string)'),
        (
            {"enum": ["celsius", "fahrenheit"]},
            "Celcius",
            'expected "celsius" or "fahrenheit", got "Celcius"; did you mean "celsius"?',
        ),
        ({"enum": [1, 2]}, 3, "expected 1 or 2, got 3"),
        (
            {"enum": list(range(25))},
            30,
            f"expected {', '.join(str(n) for n in range(19))} or 19, got 30; "
            "5 more values are allowed",
        ),
        ({"const": "a"}, "b", 'expected "a", got "b"'),
        ({"pattern": "^a$"}, "b", 'expected text that matches the regular expression ^a$, got "b"'),
        ({"format": "date"}, "2026-02-30", 'expected a date such as 2026-05-31, got "2026-02-30"'),
        ({"minimum": 1}, 0, "expected a number from 1 up, got 0"),
        ({"exclusiveMaximum": 1}, 1, "expected a number below 1, got 1"),
        ({"multipleOf": 3}, 10, "expected a multiple of 3, got 10"),
        ({"minLength": 2}, "a", 'expected at least 2 characters, got 1: "a"'),
        ({"maxItems": 1}, [1, 2], "expected at most 1 items, got 2: [1, 2]"),
        ({"uniqueItems": True}, [1, 1], "expected items that all differ, got [1, 1]"),
        ({"not": {"type": "string"}}, "a", 'does not fit {"not": {"type": "string"}}, got "a"'),
        ({"items": {"not": {}}}, [1], 'does not fit {"not": {}}, got 1'),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 5, "expected string or null, got 5"),
        ({"anyOf": [{"enum": ["a"]}, {"type": "null"}]}, "b", 'expected "a", got "b"'),
        ({"contains": False}, [1], 'does not fit {"contains": false}, got [1]'),
        ({"oneOf": [{}, {}]}, 5, 'does not fit {"oneOf": [{}, {}]}, got 5'),
        (
            {"oneOf": [{"properties": {"k": {"const": 1}}}, {"required": ["m"]}]},
            {"k": 2},
            "fits none of its 2 forms: (1) k expected 1, got 2; "
            "(2) m is required, but was not given",
        ),
        (
            {"anyOf": [{"const": 1}, {"const": 2}]},
            3,
            "fits none of its 2 forms: (1) expected 1, got 3; (2) expected 2, got 3",
        ),
    ],
)
def test_an_argument_error_says_what_it_was_and_what_was_expected(
    schema: dict[str, Any], value: Any, expected: str
) -> None:
    place = "x[0]" if "items" in schema else "x"
    assert told({"x": schema}, {"x": value}) == [f"{place}: {expected}"]


def test_missing_and_unknown_arguments_are_named() -> None:
    properties = {"city": {"type": "string"}, "at": {"type": "object", "required": ["h"]}}
    assert told(
        properties, {"citi": 1, "at": {}}, required=["city"], additionalProperties=False
    ) == [
        "at.h: is required, but was not given",
        "city: is required (string), but was not given",
        'citi: there is no such argument; there are: city, at; did you mean "city"?',
    ]


def test_an_argument_of_a_tool_without_arguments_is_refused() -> None:
    assert told({}, {"x": 1}, additionalProperties=False) == [
        "x: there is no such argument; there are: none"
    ]


def test_additional_and_patterned_arguments_are_checked_by_their_schemas() -> None:
    keywords = {
        "patternProperties": {"^n_": {"type": "integer"}},
        "additionalProperties": {"type": "string"},
    }
    assert told({"x": {"type": "null"}}, {"x": None, "n_1": 1, "other": "a"}, **keywords) == []
    assert told({}, {"n_1": "a", "other": 1}, **keywords) == [
        'n_1: expected integer, got "a" (string)',
        "other: expected string, got 1 (integer)",
    ]
    assert told({"x": keywords}, {"x": 5}) == []


def test_problems_beyond_the_eighth_are_counted() -> None:
    schema = {"type": "array", "items": {"type": "integer"}}
    assert told({"x": schema}, {"x": ["a"] * 10}) == [
        *[f'x[{index}]: expected integer, got "a" (string)' for index in range(8)],
        ": 2 more problems of this kind",
    ]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", ["2024-02-29"], ["2023-02-29", "20240229", "2024-2-9"]),
        ("time", ["14:30", "14:30:00", "14:30:00.5Z", "14:30:00+02:00"], ["24:00", "14", "2pm"]),
        (
            "date-time",
            ["2026-05-31T14:30:00Z", "2026-05-31 14:30"],
            ["2026-05-31", "2026-05-31x14:30", "2026-13-31T14:30:00Z"],
        ),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000"]),
        ("ipv4", ["192.0.2.1"], ["192.0.2.256", "::1"]),
        ("ipv6", ["2001:db8::1"], ["192.0.2.1", "fe80::1%eth0"]),
        ("email", ["anything"], []),
    ],
)
def test_formats_are_checked(name: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if told({"x": {"format": name}}, {"x": text})] == []
    assert [text for text in bad if not told({"x": {"format": name}}, {"x": text})] == []
    assert told({"x": {"format": name}}, {"x": 5}) == []


@pytest.mark.parametrize("pattern", ["^(a+)+$", r"^(a|a)*$", r"^(.*)*=.*$"])
def test_an_explosive_regular_expression_is_checked_at_once(pattern: str) -> None:
    started = time.monotonic()
    assert len(told({"x": {"pattern": pattern}}, {"x": "a" * 10_000 + "!"})) == 1
    assert time.monotonic() - started < 2


def test_a_pattern_that_needs_backtracking_is_left_to_the_tool() -> None:
    assert told({"x": {"pattern": "^(?!b)"}}, {"x": "b"}) == []


def test_references_that_multiply_with_the_depth_of_the_arguments_are_given_up() -> None:
    node = {"type": "object", "properties": {"n": {"allOf": [{"$ref": "#/$defs/n"}] * 2}}}
    value: dict[str, Any] = {}
    for _ in range(50):
        value = {"n": value}
    assert told({"x": {"$ref": "#/$defs/n"}}, {"x": value}, **{"$defs": {"n": node}}) == [
        ": too deep, too large or too complex to be checked; simplify them"
    ]


def test_draft_7_reads_definitions_and_ignores_what_stands_beside_a_reference() -> None:
    keywords = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": {"n": {"type": "string"}},
    }
    properties = {"x": {"$ref": "#/definitions/n", "minLength": 3}}
    assert told(properties, {"x": "a"}, **keywords) == []
    assert told(properties, {"x": 1}, **keywords) == ["x: expected string, got 1 (integer)"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([1], ": expected object, got [1] (array)"),
        ({"x": float("inf")}, ": not plain JSON data: Out of range float values are not JSON compliant"),
        ({"x": "\ud800"}, ": text in it is not valid Unicode (half of a surrogate pair)"),
        ({"x": {1, 2}}, ": not plain JSON data: Object of type set is not JSON serializable"),
    ],
)  # fmt: skip
def test_arguments_that_are_no_plain_json_object_are_refused(arguments: Any, expected: str) -> None:
    assert told({}, arguments) == [expected]


def test_a_number_too_large_for_the_check_is_refused() -> None:
    assert told({"x": {"multipleOf": 0.1}}, {"x": 10**400}) == [
        ": too deep, too large or too complex to be checked; simplify them"
    ]


def test_a_schema_written_in_python_must_be_plain_json_as_well() -> None:
    spec = ToolSpec(name="act", description="Acts.", parameters={"type": "object", "x": {1, 2}})
    with pytest.raises(ToolLibraryError) as caught:
        Toolset([Tool(spec=spec)])
    assert [str(problem) for problem in caught.value.problems] == [
        "$[0].parameters: not plain JSON data: Object of type set is not JSON serializable"
    ]


def test_a_form_that_allows_nothing_is_not_told() -> None:
    assert told({"x": {"anyOf": [False, {"type": "null"}]}}, {"x": 5}) == [
        "x: expected null, got 5"
    ]
    assert told({"x": {"anyOf": [False]}}, {"x": 5}) == ["x: expected nothing, got 5"]
    assert told({"x": {"enum": []}}, {"x": 5}) == ["x: expected nothing, got 5"]

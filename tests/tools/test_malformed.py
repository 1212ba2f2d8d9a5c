"""Whatever a file, a schema, a model or a caller gives: a documented error, or a sound result."""

import asyncio
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolverifier.core import Problem, ToolCall, ToolLibraryError, ToolResult
from toolverifier.tools import Tool, Toolset, ToolSpec, argument_problems, execute, parse_call


def cases(count: int) -> Any:
    """Generates that many cases, the same ones on every run."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
KEYS = st.text(max_size=4) | st.sampled_from(
    ["name", "description", "parameters", "type", "function", "tools", "properties", "binding"]
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)

SCHEMA: dict[str, Any] = {
    "type": "object",
    "$defs": {"place": {"type": "object", "properties": {"lat": {"type": "number"}}}},
    "properties": {
        "city": {"type": "string", "minLength": 1, "maxLength": 5},
        "day": {"type": "string", "pattern": "^[a-z]{3}$"},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "hours": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 3},
        "place": {"anyOf": [{"$ref": "#/$defs/place"}, {"type": "null"}]},
    },
    "required": ["city"],
    "additionalProperties": False,
}
LIBRARY: list[Any] = [
    {
        "name": "get_weather",
        "description": "Gets the weather.",
        "parameters": SCHEMA,
        "effect": "read",
        "demonstrations": [{"request": "Ulm?", "arguments": {"city": "Ulm"}}],
    },
    {"type": "function", "function": {"name": "act", "description": "Acts.", "parameters": SCHEMA}},
    {
        "name": "look",
        "description": "Looks.",
        "inputSchema": {"type": "object"},
        "annotations": {"readOnlyHint": True},
        "binding": {"type": "http", "method": "GET", "url": "https://api.test/look"},
    },
]


def refused(make: Callable[[], Toolset]) -> tuple[Problem, ...]:
    """Returns the problems, at least one where the toolset is refused."""
    try:
        make()
    except ToolLibraryError as error:
        return error.problems or (Problem(path="", message=""),)
    return ()


def loads_or_is_refused(source: Any) -> None:
    problems = refused(lambda: Toolset.from_json(source))
    assert all(problem.path.startswith("$") and problem.message for problem in problems)
    if not problems:
        toolset = Toolset.from_json(source)
        assert Toolset(toolset).specs == toolset.specs
        assert len(toolset.hash) == 16


def places(value: Any) -> list[tuple[Any, Any]]:
    """Returns every (container, key) in the JSON value."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        for key in keys:
            found += [(value, key), *places(value[key])]
    return found


def mutated(draw: st.DrawFn, value: Any, replacements: st.SearchStrategy[Any]) -> Any:
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(places(value)))
        if draw(st.booleans()):
            container[key] = draw(replacements)
        else:
            del container[key]
        if not places(value):
            break
    return value


SUBSCHEMAS = st.deferred(lambda: SCHEMAS | st.booleans())
REFERENCES = st.sampled_from(
    [
        "#",
        "#/$defs/a",
        "#/$defs/b",
        "#/properties/a",
        "#/required/0",
        "#/anyOf/x",
        "#/type/x",
        "#a",
        "http://[",
    ]
)
PATTERNS = st.sampled_from(["^a", "(a+)+$", "(?=a)", "(", "[[a]", r"\Z", "a{1,99999}", r"(a)\1"])
NAMES = st.sampled_from(["a", "b"])
KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(["object", "string", "integer", "array", ["null", "number"]]),
    "$ref": REFERENCES,
    "$dynamicRef": REFERENCES,
    "$id": st.sampled_from(["a", "b/c", "https://schemas.test/a", "http://["]),
    "$anchor": NAMES,
    "patternProperties": st.dictionaries(PATTERNS, SUBSCHEMAS, max_size=1),
    "pattern": PATTERNS,
    "enum": st.lists(JSON, max_size=2),
    "multipleOf": st.sampled_from([1, 0.1, 1e-320, 10**400]),
    "minimum": st.integers(),
    "format": st.sampled_from(["date", "date-time", "time", "uuid", "ipv4", "ipv6", "x"]),
    "required": st.lists(NAMES, max_size=2, unique=True),
    **dict.fromkeys(["additionalProperties", "unevaluatedProperties", "items"], SUBSCHEMAS),
    **dict.fromkeys(["not", "if", "then", "propertyNames", "contains"], SUBSCHEMAS),
    **dict.fromkeys(["anyOf", "allOf", "oneOf"], st.lists(SUBSCHEMAS, min_size=1, max_size=2)),
    **dict.fromkeys(["properties", "$defs"], st.dictionaries(NAMES, SUBSCHEMAS, max_size=2)),
}


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    """Schemas that the metaschema mostly accepts, with references, loops and patterns that may lead anywhere."""
    keywords = draw(st.lists(st.sampled_from(list(KEYWORDS)), max_size=3, unique=True))
    return {keyword: draw(KEYWORDS[keyword]) for keyword in keywords}


SCHEMAS = schemas()
OBJECT_SCHEMAS = st.builds(
    lambda schema, properties, definitions: {
        **schema,
        "type": "object",
        "properties": properties,
        "$defs": definitions,
        "required": [],
    },
    SCHEMAS,
    st.dictionaries(NAMES, SCHEMAS, max_size=2),
    st.dictionaries(NAMES, SCHEMAS, max_size=2),
)
ARGUMENTS = st.dictionaries(NAMES, JSON, max_size=2)


@cases(150)
@given(JSON)
def test_any_json_as_a_library_loads_or_is_refused(source: Any) -> None:
    if not isinstance(source, str):
        loads_or_is_refused(source)


@cases(250)
@given(st.data())
def test_a_library_with_mistakes_in_it_loads_or_is_refused(data: st.DataObject) -> None:
    loads_or_is_refused(mutated(data.draw, LIBRARY, JSON | SCHEMAS))


@cases(150)
@given(data=st.data())
def test_a_damaged_file_loads_or_is_refused(data: st.DataObject, tmp_path: Path) -> None:
    content = bytearray(json.dumps(LIBRARY).encode())
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 40)))
    content[start:end] = data.draw(st.binary(max_size=12))
    path = tmp_path / "tools.json"
    path.write_bytes(content)
    loads_or_is_refused(path)


@cases(100)
@given(st.binary(max_size=60))
def test_any_bytes_as_a_file_load_or_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tools.json"
    path.write_bytes(content)
    loads_or_is_refused(path)


@cases(400)
@given(OBJECT_SCHEMAS, ARGUMENTS)
def test_any_schema_is_refused_or_checks_any_arguments(
    schema: dict[str, Any], arguments: dict[str, Any]
) -> None:
    spec = ToolSpec(name="act", description="Acts.", parameters=schema)
    problems = refused(lambda: Toolset([Tool(spec=spec)])) or argument_problems(spec, arguments)
    assert all(isinstance(problem, Problem) and problem.message for problem in problems)


WEATHER = ToolSpec(name="get_weather", description="Gets the weather.", parameters=SCHEMA)


VALID = st.fixed_dictionaries(
    {"city": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)},
    optional={
        "day": st.from_regex("^[a-z]{3}$", fullmatch=True).filter(lambda text: "\n" not in text),
        "unit": st.sampled_from(["celsius", "fahrenheit"]),
        "hours": st.lists(st.integers(min_value=0), max_size=3),
        "place": st.none() | st.dictionaries(st.just("lat"), st.integers() | st.floats(0, 90)),
    },
)


@cases(100)
@given(VALID)
def test_arguments_that_fit_the_schema_have_no_problems(arguments: dict[str, Any]) -> None:
    assert argument_problems(WEATHER, arguments) == []


@cases(200)
@given(st.data())
def test_arguments_have_problems_exactly_where_the_schema_says_so(data: st.DataObject) -> None:
    valid = {"city": "Ulm", "day": "mon", "unit": "celsius", "hours": [1], "place": {"lat": 1.5}}
    arguments = mutated(data.draw, valid, JSON)
    reference = jsonschema.Draft202012Validator(SCHEMA).is_valid(arguments)
    assert (argument_problems(WEATHER, arguments) == []) is reference


async def answer(arguments: dict[str, Any]) -> Any:
    return arguments


TOOLSET = Toolset([Tool(spec=ToolSpec(**{**vars(WEATHER), "effect": "read"}), run=answer)])
PIECES = st.sampled_from(
    [
        *('{"name":', '"get_weather"', ',"arguments":', "{", "}", '{"city": "Ulm"}', "```json\n"),
        *('"', "\\", "\\ud800", "[", "]", ":", ",", "NaN", "1e999", "\x00", "\ud800", "Sure! "),
    ]
)


@pytest.mark.parametrize(
    "texts",
    [st.text(max_size=80), st.lists(PIECES, max_size=12).map("".join)],
    ids=["any text", "pieces of calls"],
)
def test_any_text_of_a_model_becomes_a_call_that_gets_one_result(
    texts: st.SearchStrategy[str],
) -> None:
    @cases(200)
    @given(texts)
    def check(text: str) -> None:
        call = parse_call(text, call_id="1")
        result = asyncio.run(execute(TOOLSET, call))
        assert (call.parse_error is not None) == (result.error == "parse")
        assert (result.call_id, result.name) == ("1", call.name)

    check()


@cases(150)
@given(
    st.sampled_from(["get_weather", "", "get_wether"]),
    ARGUMENTS | st.recursive(st.floats() | st.binary(), st.lists),
)
def test_any_call_gets_one_result(name: str, arguments: Any) -> None:
    result = asyncio.run(execute(TOOLSET, ToolCall(id="1", name=name, arguments=arguments)))
    assert isinstance(result, ToolResult)
    if name != "get_weather":
        assert result.error == "unknown_tool"
    elif argument_problems(WEATHER, arguments):
        assert result.error == "invalid_arguments"
    else:
        assert (result.error, json.loads(result.content)) == (None, arguments)

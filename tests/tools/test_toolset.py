"""Toolsets, and the libraries that they are read from."""

import json
from pathlib import Path
from typing import Any

import pytest

from toolverifier.core import ToolCall, ToolLibraryError, ToolResult
from toolverifier.tools import Demonstration, Tool, Toolset, ToolSpec, execute

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PLAIN = {"name": "get_weather", "description": "Gets the weather.", "parameters": SCHEMA}


def spec(name: str = "get_weather", **keywords: Any) -> ToolSpec:
    fields = {"description": "Gets the weather.", "parameters": SCHEMA, **keywords}
    return ToolSpec(name=name, **fields)


def problems_of(source: Any, **keywords: Any) -> list[str]:
    with pytest.raises(ToolLibraryError) as caught:
        Toolset.from_json(source, **keywords)
    return [str(problem) for problem in caught.value.problems]


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "tools.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "library",
    [
        [PLAIN],
        PLAIN,
        {"tools": [PLAIN], "nextCursor": None},
        [{"type": "function", "function": PLAIN}],
        [{"name": "get_weather", "description": "Gets the weather.", "input_schema": SCHEMA}],
        {"name": "get_weather", "description": "Gets the weather.", "inputSchema": SCHEMA},
    ],
)
def test_every_common_shape_gives_the_same_spec(library: Any, tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeff" + json.dumps(library))
    for source in (library, path, str(path)):
        assert Toolset.from_json(source).specs == (spec(),)


def test_a_tool_without_parameters_takes_no_arguments() -> None:
    library = [{"name": "now", "description": "Tells the time."}]
    assert Toolset.from_json(library).specs == (
        ToolSpec(
            name="now",
            description="Tells the time.",
            parameters={"type": "object", "properties": {}},
        ),
    )


@pytest.mark.parametrize(
    ("extra", "effect"),
    [
        ({}, "write"),
        ({"effect": "read"}, "read"),
        ({"annotations": {"readOnlyHint": True, "destructiveHint": True}}, "read"),
        ({"annotations": {"destructiveHint": True}}, "destructive"),
        ({"annotations": {"readOnlyHint": False}}, "write"),
        ({"annotations": {"readOnlyHint": "true"}}, "write"),
        ({"annotations": ["readOnlyHint"]}, "write"),
        ({"annotations": {"readOnlyHint": True}, "effect": "destructive"}, "destructive"),
    ],
)
def test_the_effect_is_stated_or_hinted_or_else_write(extra: dict[str, Any], effect: str) -> None:
    assert Toolset.from_json([{**PLAIN, **extra}]).specs == (spec(effect=effect),)


def test_optional_keys_stand_beside_an_openai_function_or_in_it() -> None:
    extra = {
        "effect": "read",
        "timeout_s": 3,
        "demonstrations": [{"request": "Weather in Ulm?", "arguments": {"city": "Ulm"}}],
    }
    expected = Tool(
        spec=spec(
            effect="read",
            demonstrations=(Demonstration(request="Weather in Ulm?", arguments={"city": "Ulm"}),),
        ),
        timeout_s=3,
    )
    outside = {"type": "function", "function": PLAIN, **extra}
    inside = {"type": "function", "function": {**PLAIN, **extra}}
    assert list(Toolset.from_json([outside])) == [expected]
    assert list(Toolset.from_json([inside])) == [expected]


def test_a_bad_library_is_refused_whole_with_every_problem() -> None:
    library = [
        PLAIN,
        {"type": "function", "function": {**PLAIN, "name": "get weather", "effect": "none"}},
        {"description": " ", "input_schema": {**SCHEMA, "required": ["town"]}},
        5,
        {"function": "get_weather"},
        {**PLAIN, "description": 5, "timeout_s": True},
        {**PLAIN, "name": "twice", "inputSchema": SCHEMA},
        {**PLAIN, "name": "a", "demonstrations": [{"request": " ", "arguments": {"city": 5}}]},
        {**PLAIN, "name": "b", "demonstrations": [{"request": "x"}]},
        {**PLAIN, "name": "c", "demonstrations": {}},
        {**PLAIN, "name": "d", "demonstrations": [{"request": "x", "arguments": [1]}]},
        {**PLAIN, "name": "e", "binding": {"type": "none"}},
        {**PLAIN, "name": "f", "timeout_s": "1"},
    ]
    assert problems_of(library) == [
        "$[1].function.name: 1 to 64 letters, digits, _ or - are expected, got \"get weather\"",
        '$[1].function.effect: "none" is no effect; one of read, write, destructive is expected',
        "$[2].name: is missing; every tool has a name",
        "$[2].description: is empty; say in a sentence (in a function's docstring) what the tool "
        "does and when it is the right one",
        '$[2].input_schema.required[0]: "town" is required, but not among the properties; '
        "describe it there",
        "$[3]: a tool object is expected, got 5",
        '$[4].function: an object with name and description is expected, got "get_weather"',
        "$[5].description: text is expected, got 5",
        "$[5].timeout_s: a positive number of seconds is expected, got true",
        "$[6]: has parameters and inputSchema; keep one",
        '$[7].demonstrations[0].request: a user\'s request is expected, got " "',
        "$[7].demonstrations[0].arguments.city: expected string, got 5 (integer)",
        '$[8].demonstrations[0]: {"request": TEXT, "arguments": {...}} is expected, '
        'got {"request": "x"}',
        "$[9].demonstrations: a list is expected, got {}",
        "$[10].demonstrations[0].arguments: expected object, got [1] (array)",
        "$[11].binding.type: 'none' is not one of 'http', 'python'",
        '$[12].timeout_s: a positive number of seconds is expected, got "1"',
        '$[5].name: the name "get_weather" is taken by $[0]; rename one of them',
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["none", "None", "NONE"])
def test_no_tool_may_have_the_name_that_says_that_no_tool_fits(name: str) -> None:
    expected = f'$[0].name: "{name}" stands for "no tool fits"; give the tool another name'
    assert problems_of([{**PLAIN, "name": name}]) == [expected]
    assert Toolset.from_json([{**PLAIN, "name": "none_left"}]).specs == (spec("none_left"),)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff[]", "$: is not UTF-8 text: invalid start byte at byte 0"),
        ('[\n  {"name": }]', "$: not JSON at line 2, column 12: Expecting value"),
        ("", "$: not JSON at line 1, column 1: Expecting value"),
        ("[" * 100_000, "$: nested too deeply: at most 64 levels are read"),
        ("[" * 70 + "]" * 70, "$: nested too deeply: at most 64 levels are read"),
        (
            '[{"name": "a", "name": "b", "effect": 1}]',
            '$: the key "name" stands twice in one object, beside "name", "effect"',
        ),
        ('{"timeout_s": NaN}', "$: NaN is not a JSON value"),
        ("[1e999]", "$: not plain JSON data: Out of range float values are not JSON compliant"),
        (r'["\ud800"]', "$: text in it is not valid Unicode (half of a surrogate pair)"),
        ("5", '$: a list of tools, {"tools": [...]} or one tool is expected, got 5'),
        ("{}", '$: a list of tools, {"tools": [...]} or one tool is expected, got {}'),
        (
            '{"tools": {}}',
            '$.tools: a list of tools, {"tools": [...]} or one tool is expected, got {}',
        ),
        ("[]", "$: holds no tools"),
    ],
)
def test_a_file_that_is_no_library_gets_one_clear_error(
    content: str | bytes, expected: str, tmp_path: Path
) -> None:
    assert problems_of(written(tmp_path, content)) == [expected]


def test_an_integer_of_ten_thousand_digits_is_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(written(tmp_path, "9" * 10_000))
    assert problem.startswith("$: not usable JSON: Exceeds the limit")


def test_a_file_that_cannot_be_opened_gets_one_clear_error(tmp_path: Path) -> None:
    assert problems_of(tmp_path / "none.json") == ["$: cannot be read: No such file or directory"]
    assert problems_of(tmp_path) == ["$: cannot be read: Is a directory"]
    assert problems_of("\0") == ["$: cannot be read: embedded null byte"]


def test_data_that_json_cannot_hold_are_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert problems_of(loop) == ["$: not plain JSON data: Circular reference detected"]


def test_the_error_names_the_file_and_says_that_nothing_was_registered(tmp_path: Path) -> None:
    path = written(tmp_path, "[]")
    with pytest.raises(ToolLibraryError) as caught:
        Toolset.from_json(path)
    assert str(caught.value) == f"{path}: 1 problem, nothing was registered\n  $: holds no tools"


async def test_a_python_binding_runs_only_where_that_is_allowed() -> None:
    library = [
        {
            "name": "dump",
            "description": "Writes a value as JSON.",
            "effect": "read",
            "timeout_s": 5,
            "parameters": {"type": "object", "properties": {"obj": {}}, "required": ["obj"]},
            "binding": {"type": "python", "function": "json:dumps"},
        }
    ]
    (problem,) = problems_of(library)
    assert problem.startswith("$[0].binding.function: ")
    assert "allow_python" in problem
    toolset = Toolset.from_json(library, allow_python=True)
    result = await execute(toolset, ToolCall(id="1", name="dump", arguments={"obj": [1]}))
    assert [tool.timeout_s for tool in toolset] == [5]
    assert result == ToolResult(call_id="1", name="dump", content="[1]")


def test_a_toolset_keeps_its_order_and_finds_by_name() -> None:
    tools = [Tool(spec=spec(name)) for name in ("b", "a")]
    toolset = Toolset(tools)
    assert (list(toolset), len(toolset), toolset.get("a"), toolset.get("c"), repr(toolset)) == (
        tools,
        2,
        tools[1],
        None,
        "Toolset(b, a)",
    )


def test_a_toolset_takes_functions() -> None:
    def wait(seconds: int) -> None:
        """Waits."""

    assert [spec.name for spec in Toolset([wait]).specs] == ["wait"]


def test_a_toolset_of_unsound_tools_is_refused() -> None:
    with pytest.raises(ToolLibraryError) as caught:
        Toolset([Tool(spec=spec("a")), Tool(spec=spec("a")), Tool(spec=spec("?", description=""))])
    assert [problem.path for problem in caught.value.problems] == [
        "$[2].name",
        "$[2].description",
        "$[1].name",
    ]


def test_a_prefix_mends_a_collision_between_toolsets() -> None:
    one, other = Toolset([Tool(spec=spec("a"))]), Toolset([Tool(spec=spec("a"))])
    with pytest.raises(ToolLibraryError) as caught:
        Toolset.combine(one, other)
    assert [str(problem) for problem in caught.value.problems] == [
        '$[1][0].name: the name "a" is taken by $[0][0]; '
        'give one toolset a prefix: toolset.prefixed("other_")'
    ]
    combined = Toolset.combine(one, other.prefixed("other_"))
    assert combined.specs == (spec("a"), spec("other_a"))


def test_a_prefix_that_makes_a_name_illegal_is_refused() -> None:
    with pytest.raises(ToolLibraryError):
        Toolset([Tool(spec=spec("a"))]).prefixed("?")


def test_the_hash_follows_specs_and_order() -> None:
    a, b = Tool(spec=spec("a")), Tool(spec=spec("b"))
    hashes = [Toolset(tools).hash for tools in ([a, b], [a, b], [b, a], [a])]
    assert (hashes[0] == hashes[1], len(set(hashes)), {len(text) for text in hashes}) == (
        True,
        3,
        {16},
    )


def test_a_library_shares_nothing_with_the_data_it_came_from() -> None:
    library = [json.loads(json.dumps(PLAIN))]
    toolset = Toolset.from_json(library)
    library[0]["parameters"]["properties"].clear()
    assert toolset.specs == (spec(),)

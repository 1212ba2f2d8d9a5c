import asyncio
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolverifier.core import Problem
from toolverifier.tools.bindings import bind
from toolverifier.tools.spec import ToolSpec

SPEC = ToolSpec(
    name="greet",
    description="Greets somebody.",
    parameters={
        "type": "object",
        "properties": {"name": {"type": "string"}, "loud": {"type": "boolean"}},
        "required": ["name"],
    },
)


async def greet_async(name: str, loud: bool = False) -> str:
    await asyncio.sleep(0)
    return f"hello {name}{'!' if loud else ''}"


def greet_in_thread(name: str, **others: Any) -> dict[str, Any]:
    return {"name": name, "thread": threading.get_ident(), **others}


def greet_later(**arguments: Any) -> Any:
    return greet_async(**arguments)


def greet_nobody() -> str:
    return ""


def greet_by_position(name: str, language: str, /, loud: bool) -> str:
    return name + language + str(loud)


@pytest.fixture(autouse=True)
def module() -> Iterator[None]:
    functions = types.ModuleType("greetings_of_a_test")
    functions.__dict__.update(globals())
    functions.number = 7
    functions.builtin = min
    sys.modules["greetings_of_a_test"] = functions
    yield
    del sys.modules["greetings_of_a_test"]


def python(target: Any, *, allow_python: bool = True) -> Any:
    document = {"type": "python", "function": target}
    return bind(SPEC, document, path="$[1].binding", allow_python=allow_python)


def messages(target: Any, *, allow_python: bool = True) -> list[str]:
    found = python(target, allow_python=allow_python)
    assert isinstance(found, list)
    assert {problem.path for problem in found} == {"$[1].binding.function"}
    return [problem.message for problem in found]


async def test_an_async_function_runs_with_the_arguments() -> None:
    run = python("greetings_of_a_test:greet_async")
    assert await run({"name": "Ada", "loud": True}) == "hello Ada!"


async def test_a_sync_function_runs_in_a_thread_of_its_own() -> None:
    run = python("greetings_of_a_test:greet_in_thread")
    result = await run({"name": "Ada", "loud": True})
    assert result["thread"] != threading.get_ident()
    assert (result["name"], result["loud"]) == ("Ada", True)


async def test_what_a_sync_function_leaves_to_be_awaited_is_awaited() -> None:
    assert await python("greetings_of_a_test:greet_later")({"name": "Ada"}) == "hello Ada"


def test_code_is_not_imported_unless_allowed() -> None:
    assert "antigravity" not in sys.modules
    assert messages("antigravity:fly", allow_python=False) == [
        "'antigravity:fly' is code to import; loading with allow_python permits it"
    ]
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "target", [None, 3, "", "json", "json:", ":dumps", "json.dumps", "a b:c", "os:path;x"]
)
def test_a_target_is_a_module_and_a_function(target: Any) -> None:
    assert messages(target) == [f"{target!r} is not 'module:function'"]


def test_a_function_that_cannot_be_had_is_a_problem(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaves_at_import.py").write_text("import sys; sys.exit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    assert messages("no_such_module_here:f") == [
        "'no_such_module_here:f' cannot be imported: ModuleNotFoundError: No module named 'no_such_module_here'"
    ]
    assert messages("leaves_at_import:f") == [
        "'leaves_at_import:f' cannot be imported: SystemExit: 3"
    ]
    assert messages("json:no.such")[0].startswith(
        "'json:no.such' cannot be imported: AttributeError: "
    )
    assert messages("greetings_of_a_test:number") == [
        "'greetings_of_a_test:number' is not callable"
    ]


def test_a_function_that_cannot_take_the_arguments_is_a_problem() -> None:
    target = "greetings_of_a_test:greet_nobody"
    assert messages(target) == [
        f"{target!r} does not take the argument 'name'",
        f"{target!r} does not take the argument 'loud'",
    ]
    target = "greetings_of_a_test:greet_by_position"
    assert messages(target) == [
        f"{target!r} does not take the argument 'name'",
        f"{target!r} takes 'name' by position only, and arguments are given by name",
        f"{target!r} takes 'language' by position only, and arguments are given by name",
        f"{target!r} needs 'loud', which the tool does not require",
    ]


def test_a_built_in_function_without_a_signature_is_taken_at_its_word() -> None:
    assert callable(python("greetings_of_a_test:builtin"))
    assert messages("os:path.join")[0] == "'os:path.join' does not take the argument 'name'"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("x", Problem(path="$", message="'x' is not an object")),
        ({}, Problem(path="$.type", message="None is not one of 'http', 'python'")),
        (
            {"type": "shell"},
            Problem(path="$.type", message="'shell' is not one of 'http', 'python'"),
        ),
        (
            {"type": "python", "function": "greetings_of_a_test:greet_async", "x": 1},
            Problem(path="$.x", message="unknown key; a python binding has type, function"),
        ),
    ],
)
def test_a_document_that_is_no_binding_is_a_problem(document: Any, expected: Problem) -> None:
    assert bind(SPEC, document, path="$", allow_python=True) == [expected]


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["type", "function", "url"]), inner)
        ),
        max_leaves=5,
    )
)
def test_any_document_that_names_no_kind_has_problems(document: Any) -> None:
    found = bind(SPEC, document, path="$.b", allow_python=True)
    assert isinstance(found, list)
    assert all(problem.path.startswith("$.b") for problem in found)

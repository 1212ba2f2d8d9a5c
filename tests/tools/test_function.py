"""Functions become tools."""

import contextvars
import datetime
import decimal
import enum
import functools
import threading
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from toolverifier.core import ToolCall, ToolError, ToolLibraryError
from toolverifier.tools import Tool, Toolset, ToolSpec, execute, tool


class Unit(enum.Enum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


class Place(BaseModel):
    lat: float
    lon: float


class Folder(BaseModel):
    inner: "list[Folder]" = []


async def call(made: Tool, **arguments: Any) -> Any:
    assert made.run is not None
    return await made.run(arguments)


def get_weather(
    city: str,
    day: datetime.date,
    unit: Unit = Unit.CELSIUS,
    json: Annotated[int, Field(ge=1, description="Its own words.")] = 3,
    _place: Place | None = None,
) -> list[Any]:
    """Gets the weather
    of a city.

    Not for climate.

    Args:
        city: The city's name,
            in English.

        day (date): The day.
        unit:
        json: Words that the annotation overrides.

    Returns:
        What it got.
    """
    return [city, day, unit, json, _place]


def test_the_spec_comes_from_name_docstring_and_annotations() -> None:
    place = {
        "type": "object",
        "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}},
        "required": ["lat", "lon"],
    }
    unit = {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"}
    assert tool(get_weather).spec == ToolSpec(
        name="get_weather",
        description="Gets the weather of a city.",
        parameters={
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city's name, in English."},
                "day": {"type": "string", "format": "date", "description": "The day."},
                "unit": unit,
                "json": {
                    "type": "integer",
                    "minimum": 1,
                    "default": 3,
                    "description": "Its own words.",
                },
                "_place": {"anyOf": [place, {"type": "null"}], "default": None},
            },
            "required": ["city", "day"],
            "additionalProperties": False,
        },
        effect="write",
    )


async def test_arguments_arrive_as_the_annotated_types_and_defaults_stay_the_functions() -> None:
    made = tool(get_weather)
    assert await call(made, city="Ulm", day="2026-05-31") == [
        "Ulm",
        datetime.date(2026, 5, 31),
        Unit.CELSIUS,
        3,
        None,
    ]
    assert await call(
        made, city="Ulm", day="2026-05-31", unit="fahrenheit", json=4, _place={"lat": 1, "lon": 2}
    ) == ["Ulm", datetime.date(2026, 5, 31), Unit.FAHRENHEIT, 4, Place(lat=1, lon=2)]


def test_the_decorator_takes_name_effect_and_time_limit() -> None:
    @tool(name="look_up", effect="read", timeout_s=2.5)
    def _function() -> None:
        """Looks something up."""

    assert (_function.spec, _function.timeout_s) == (
        ToolSpec(
            name="look_up",
            description="Looks something up.",
            parameters={"type": "object", "properties": {}, "additionalProperties": False},
            effect="read",
        ),
        2.5,
    )


def test_a_type_that_holds_itself_keeps_its_name() -> None:
    @tool
    def pack(folder: Folder) -> None:
        """Packs a folder."""

    assert pack.spec.properties == {"folder": {"$ref": "#/$defs/Folder"}}
    assert Toolset([pack]).specs == (pack.spec,)


def test_a_default_that_json_cannot_hold_is_left_out_of_the_schema() -> None:
    def pay(amount: decimal.Decimal, then: Annotated[Any, Field()] = object()) -> None:
        """Pays."""

    assert tool(pay).spec.properties == {
        "amount": {"anyOf": [{"type": "number"}, {"type": "string"}]},
        "then": {},
    }


async def test_a_sync_function_runs_in_a_thread_with_the_callers_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("kept")

    @tool
    def where() -> list[Any]:
        """Says where it runs."""
        return [threading.current_thread() is threading.main_thread(), variable.get()]

    assert await call(where) == [False, "kept"]


async def test_an_async_function_runs_on_the_event_loop() -> None:
    @tool
    async def where() -> bool:
        """Says where it runs."""
        return threading.current_thread() is threading.main_thread()

    assert await call(where) is True


async def test_objects_partials_and_functions_that_return_coroutines_are_called() -> None:
    class Adder:
        """Adds."""

        async def __call__(self, a: int) -> int:
            return a + 1

        def method(self, a: int) -> int:
            """Adds two."""
            return a + 2

    async def add(a: int, b: int) -> int:
        return a + b

    def later(a: int) -> Any:
        """Adds ten, later."""
        return add(a, 10)

    partial = functools.partial(add, b=5)
    partial.__doc__ = "Adds five."
    assert [
        await call(tool(name="adder")(Adder()), a=1),
        await call(tool(Adder().method), a=1),
        await call(tool(later), a=1),
        await call(tool(name="five")(partial), a=1),
    ] == [2, 3, 11, 6]


async def test_a_conversion_that_fails_is_told_as_invalid_arguments() -> None:
    @tool(effect="read")
    def pay(amount: decimal.Decimal) -> None:
        """Pays."""

    result = await execute(
        Toolset([pay]), ToolCall(id="1", name="pay", arguments={"amount": "much"})
    )
    assert (result.error, result.content) == (
        "invalid_arguments",
        "The arguments are not valid:\n- amount: Input should be a valid decimal",
    )


async def test_a_functions_own_validation_error_is_not_told_as_invalid_arguments() -> None:
    @tool(effect="read")
    def place() -> None:
        """Makes a place."""
        Place.model_validate({"lat": 1})

    result = await execute(Toolset([place]), ToolCall(id="1", name="place"))
    assert result.error == "execution"


async def test_stop_iteration_and_tool_errors_come_out_of_the_thread() -> None:
    @tool
    def stop() -> None:
        """Stops."""
        raise StopIteration("now")

    @tool
    def tell() -> None:
        """Tells."""
        raise ToolError("told")

    with pytest.raises(RuntimeError, match="StopIteration: now"):
        await call(stop)
    with pytest.raises(ToolError, match="told"):
        await call(tell)


def problems_of(function: Any, **keywords: Any) -> list[str]:
    with pytest.raises(ToolLibraryError) as caught:
        tool(**keywords)(function)
    return [str(problem) for problem in caught.value.problems]


def test_everything_that_is_wrong_with_a_function_is_told_at_once() -> None:
    def bad(a, /, b, *c: int, d: threading.Thread, e: int = Field(3), **f: int) -> None:  # type: ignore[no-untyped-def]
        pass

    assert [problem[:60] for problem in problems_of(bad, name="not good")] == [
        "bad.a: is positional-only, but arguments are given by name; ",
        "bad.b: has no type annotation; write b: str or what it is",
        "bad.c: *c is open; name every argument",
        "bad.d: its type has no JSON Schema: Unable to generate pydan",
        "bad.e: has a Field as its default; write Annotated[TYPE, Fie",
        "bad.f: **f is open; name every argument",
        'bad.name: 1 to 64 letters, digits, _ or - are expected, got ',
        "bad.description: is empty; say in a sentence (in a function'",
    ]  # fmt: skip


def test_a_docstring_about_another_argument_is_a_problem() -> None:
    def act(a: int) -> None:
        """Acts.

        Args:
            nothing here
            b: Long gone.
        """

    assert problems_of(act) == ["act.b: is described in the docstring, but is no argument"]


def test_annotations_that_lead_nowhere_and_generators_are_problems() -> None:
    def lost(a: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
        """Gets lost."""

    def count() -> Iterator[int]:
        """Counts."""
        yield 1

    assert problems_of(lost) == [
        "lost: its annotations cannot be read: NameError: name 'Nowhere' is not defined"
    ]
    assert problems_of(count) == ["count: is a generator; return one value instead"]


def test_a_time_limit_and_an_effect_that_make_no_sense_are_problems() -> None:
    def act() -> None:
        """Acts."""

    assert problems_of(act, effect="none", timeout_s=-1) == [
        'act.effect: "none" is no effect; one of read, write, destructive is expected',
        "act.timeout_s: a positive number of seconds is expected, got -1",
    ]

"""Arguments come from the request, the schema, or a draw; what nothing gives is missing and never invented."""

import json

from toolverifier.core import ModelError
from toolverifier.models import FunctionModel, ScoreItem
from toolverifier.tools import ToolSpec
from toolverifier.verification import ArgumentDecider


def spec(required=(), /, **properties) -> ToolSpec:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return ToolSpec(name="weather", description="Tells the weather.", parameters=parameters)


def model(nats=None, *, draws=None) -> FunctionModel:
    """Scores a value by `nats[argument][JSON text]`, else -10; draws what `draws` says for each argument."""

    def asked(prompt) -> str:
        return prompt[-1].content.split("Value of ")[1].rstrip(":")

    def score(item: ScoreItem) -> float:
        if "Request: \n" in item.prompt[-1].content:
            return -10.0
        value = item.continuation
        return (nats or {}).get(asked(item.prompt), {}).get(value, -10.0)

    def generate(prompt, shape, config) -> str:
        return json.dumps((draws or {}).get(asked(prompt)))

    return FunctionModel(generate, score=score)


async def test_numbers_of_the_request_go_where_they_are_likely():
    tool = spec(["lat", "lon"], lat={"type": "number"}, lon={"type": "number"})
    nats = {"lat": {"-56.7": -1, "133.3": -2}, "lon": {"-56.7": -1.5, "133.3": -1.6}}
    decision = await ArgumentDecider(model(nats)).decide("at (lon, lat) = (133.3, -56.7)", tool)

    assert decision.arguments == {"lat": -56.7, "lon": 133.3}
    assert decision.missing == ()
    assert [each.grounds for each in decision.decisions] == ["request", "request"]


async def test_a_span_stands_in_two_arguments_only_where_both_are_sure_of_it():
    tool = spec(["a", "b"], a={"type": "integer"}, b={"type": "integer"})
    sure = {"a": {"5": -0.1}, "b": {"5": -0.1}}
    torn = {"a": {"5": -0.1, "7": -4}, "b": {"5": -1, "7": -1.2}}

    assert (await ArgumentDecider(model(sure)).decide("5 by 5", tool)).arguments == {"a": 5, "b": 5}
    assert (await ArgumentDecider(model(torn)).decide("5, 7", tool)).arguments == {"a": 5, "b": 7}


async def test_an_optional_argument_that_is_not_given_is_left_out():
    tool = spec(units={"type": "string", "enum": ["metric", "imperial"]})
    decision = await ArgumentDecider(model({"units": {"null": -0.1}})).decide("weather?", tool)

    assert decision.arguments == {}
    assert decision.decisions[0].given is False
    assert decision.missing == ()


async def test_a_member_of_an_enum_is_chosen_from_all_of_them():
    tool = spec(["units"], units={"type": "string", "enum": ["metric", "imperial", 7]})
    nats = {"units": {'"imperial"': -1}}
    decision = await ArgumentDecider(model(nats)).decide("in Fahrenheit please", tool)

    assert decision.arguments == {"units": "imperial"}
    assert {each.name for each in decision.decisions[0].candidates} == {
        '"metric"',
        '"imperial"',
        "7",
        "not given",
    }


async def test_a_required_argument_that_the_request_does_not_give_is_missing():
    tool = spec(["city"], city={"type": "string"})
    decision = await ArgumentDecider(model({"city": {"null": -1}})).decide("weather?", tool)

    assert decision.missing == ("city",)
    assert decision.arguments == {}


async def test_an_invented_draw_does_not_count():
    tool = spec(["city"], city={"type": "string"})
    likely_anyway = model({"city": {'"London"': -9, "null": -12}}, draws={"city": "London"})
    decision = await ArgumentDecider(likely_anyway).decide("weather?", tool)

    assert decision.missing == ("city",)


async def test_a_draw_that_the_request_makes_likely_counts():
    tool = spec(["expression"], expression={"type": "string"})
    told = model({"expression": {'"80 * 0.15"': -1}}, draws={"expression": "80 * 0.15"})
    decision = await ArgumentDecider(told).decide("what are fifteen percent of 80", tool)

    assert decision.arguments == {"expression": "80 * 0.15"}
    assert decision.decisions[0].grounds == "draw"


async def test_a_value_can_come_from_earlier_results():
    tool = spec(["path"], path={"type": "string"})
    nats = {"path": {'"src/app.py"': -1}}
    decision = await ArgumentDecider(model(nats)).decide(
        "how many lines has it?", tool, context="find_files: src/app.py"
    )

    assert decision.arguments == {"path": "src/app.py"}
    assert decision.decisions[0].grounds == "context"


async def test_values_that_the_schema_forbids_are_no_candidates():
    tool = spec(count={"type": "integer", "minimum": 1, "maximum": 10})
    decision = await ArgumentDecider(model({"count": {"5": -0.1}})).decide("5 of 50", tool)

    assert {each.name for each in decision.decisions[0].candidates} == {"5", "not given"}


async def test_references_and_booleans_are_understood():
    tool = ToolSpec(
        name="t",
        description="d",
        parameters={
            "type": "object",
            "properties": {
                "size": {"$ref": "#/$defs/size"},
                "loud": {"type": "boolean"},
                "one": {"const": 1},
            },
            "$defs": {"size": {"enum": ["small", "big"]}},
        },
    )
    nats = {"size": {'"big"': -0.1}, "loud": {"true": -0.1}, "one": {"1": -0.1}}
    decision = await ArgumentDecider(model(nats)).decide("big and loud", tool)

    assert decision.arguments == {"size": "big", "loud": True, "one": 1}


async def test_a_schema_may_refer_to_another_argument_and_to_itself():
    tool = ToolSpec(
        name="t",
        description="d",
        parameters={
            "type": "object",
            "properties": {
                "a": {"type": "integer", "maximum": 9},
                "b": {"$ref": "#/properties/a"},
                "c": {"type": "array", "items": {"$ref": "#/properties/c"}},
            },
        },
    )
    nats = {"a": {"5": -0.1}, "b": {"7": -0.1}}
    decision = await ArgumentDecider(model(nats)).decide("5 and 7 of 70", tool)

    assert decision.arguments == {"a": 5, "b": 7}
    assert {each.name for each in decision.decisions[1].candidates} == {"7", "5", "not given"}


async def test_lists_are_drawn():
    tool = spec(["breeds"], breeds={"type": "array", "items": {"type": "string"}})
    drawn = model({"breeds": {'["siam", "bomb"]': -1}}, draws={"breeds": ["siam", "bomb"]})
    decision = await ArgumentDecider(drawn).decide("siam and bomb cats", tool)

    assert decision.arguments == {"breeds": ["siam", "bomb"]}
    assert decision.decisions[0].grounds == "request"


async def test_a_tool_without_arguments_costs_nothing():
    decision = await ArgumentDecider(FunctionModel()).decide("list them", spec())

    assert (decision.arguments, decision.decisions, decision.missing) == ({}, (), ())
    assert decision.usage.model_calls == 0


async def test_a_model_that_cannot_score_writes_the_arguments_at_once():
    tool = spec(
        ["city", "days"],
        city={"type": "string"},
        days={"type": "integer"},
        units={"type": "string"},
    )
    writes = FunctionModel(lambda *_: '{"city": "Rome", "days": null, "units": null}')
    decision = await ArgumentDecider(writes).decide("weather in Rome", tool)

    assert decision.arguments == {"city": "Rome"}
    assert decision.missing == ("days",)


async def test_a_draw_that_fails_is_left_out_and_named():
    def generate(prompt, shape, config):
        raise ModelError("cut off")

    tool = spec(["city"], city={"type": "string"})
    decider = ArgumentDecider(FunctionModel(generate, score=lambda item: -1.0))
    decision = await decider.decide("weather?", tool)

    assert decision.missing == ("city",)
    assert decision.left_out == ("draw of city: cut off",)

"""Prompts change only on purpose: a changed one changes every decision and its hash in every trajectory."""

from toolverifier.agent.run import PROMPT_HASHES
from toolverifier.core import Message
from toolverifier.tools import Demonstration, ToolSpec
from toolverifier.verification.prompts import (
    arguments_prompt,
    channel_prompt,
    direct_prompt,
    label_prompt,
)

TOOL = ToolSpec(
    name="weather",
    description="Tells the\nweather.",
    parameters={
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name  of the city"},
            "units": {"enum": ["metric", "imperial"]},
            "when": {"type": ["string", "null"], "format": "date"},
        },
        "required": ["city"],
    },
    demonstrations=(Demonstration(request="Rain in Rome?", arguments={"city": "Rome"}),),
)
ASKED = """\
Tool: weather
Description: Tells the weather.
Arguments:
- city (string, required): Name of the city
- units (one of "metric", "imperial")
- when (string or null, date)

Request: {request}

"""


def test_every_prompt_is_the_one_that_was_measured():
    assert PROMPT_HASHES == {
        "answer": "e336732ccd81",
        "arguments": "5f2847b5111d",
        "channel": "dcaa34c516fc",
        "direct": "e4625617dde5",
        "label": "4850c816c4f6",
        "split": "56bdd8de36a2",
    }


def test_a_tools_own_prompt_does_not_depend_on_the_request():
    assert channel_prompt(TOOL) == (
        Message(role="system", content="You write user requests."),
        Message(
            role="user",
            content="Tool: weather\nDescription: Tells the weather.\nArguments: city, units, when\n"
            "Write a user request that needs this tool.",
        ),
    )


def test_the_request_stands_last():
    system, user = direct_prompt((TOOL, None), "Rain?")

    assert system.content.endswith(
        "Tools:\n- weather: Tells the weather.\n- none: No tool in this list serves the request."
    )
    assert user == Message(role="user", content="Rain?")
    assert label_prompt([("A", TOOL)], "Rain?")[-1] == user


def test_demonstrations_of_a_tool_stand_before_the_request():
    messages = arguments_prompt(TOOL, "Snow in Oslo?", "It is May.", name="units")

    assert [message.role for message in messages[-3:]] == ["user", "assistant", "user"]
    assert messages[-3].content == ASKED.format(request="Rain in Rome?") + "Value of units:"
    assert messages[-2].content == "null"
    assert messages[-1].content == (
        ASKED.format(request="Snow in Oslo?\n\nWhat is known so far:\nIt is May.")
        + "Value of units:"
    )


def test_all_arguments_can_be_asked_for_at_once():
    messages = arguments_prompt(TOOL, "Snow in Oslo?", "")

    assert messages[-2].content == '{"city": "Rome"}'
    assert messages[-1].content.endswith("All arguments, as a JSON object:")

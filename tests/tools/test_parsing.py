"""A model's text read as a tool call."""

import pytest

from toolverifier.core import ToolCall
from toolverifier.tools import parse_call

ACT = ToolCall(id="1", name="act", arguments={"n": 1})


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "act", "arguments": {"n": 1}}',
        'Sure:\n```json\n{"name": "act", "arguments": {"n": 1}}\n```\nThat {is} it.',
        '{"name": "act", "arguments": "{\\"n\\": 1}"}',
        'I call {"name": "act", "arguments": {"n": 1}}, that is {"name": "act", "arguments": {"n": 1}}',
        'Given {"n": 1}: {"name": "act", "arguments": {"n": 1}}',
    ],
)
def test_a_call_is_read_wherever_it_stands(text: str) -> None:
    assert parse_call(text, call_id="1") == ACT


def test_arguments_may_be_left_out() -> None:
    assert parse_call('{"name": "act"}', call_id="1") == ToolCall(id="1", name="act")


EXPECTED = '; one JSON object {"name": TOOL, "arguments": {...}} is expected'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no JSON object" + EXPECTED),
        ("I would call act.", "no JSON object" + EXPECTED),
        ('[{"n": 1}]', 'no name in {"n": 1}' + EXPECTED),
        ('{"name": 5}', 'no name in {"name": 5}' + EXPECTED),
        (
            '{"name": "act",\n "arguments": {"n": 1}',
            "not JSON at line 2, column 23: Expecting ',' delimiter" + EXPECTED,
        ),
        ('{"name": "a"} {"name": "b"}', "2 different calls" + EXPECTED),
        ('{"name": "a", "arguments": [1]}', '"arguments" must be an object, got [1]'),
        ('{"name": "a", "arguments": "{"}', "not JSON at line 1, column 2: Expecting property name"
            " enclosed in double quotes"),
        (
            '{"name": "a", "name": "b"}',
            'the key "name" stands twice in one object, beside "name"',
        ),
        ('{"name": "a", "arguments": {"n": NaN}}', "NaN is not a JSON value"),
        (r'{"name": "\ud800"}', "text in it is not valid Unicode (half of a surrogate pair)"),
        ('{"name": "a", "arguments": {"n": ' + "9" * 5000 + "}}", "an object cannot be read" + EXPECTED),
        ('{"a":' * 100_000, "the text is longer than 200000 characters" + EXPECTED),
        ('{"a":' * 30_000, "an object cannot be read" + EXPECTED),
        ("{" * 1000, "not JSON at line 1, column 2: Expecting property name enclosed in double quotes"
            + EXPECTED),
    ],
)  # fmt: skip
def test_text_that_is_no_call_says_why(text: str, expected: str) -> None:
    assert parse_call(text, call_id="1") == ToolCall(id="1", name="", parse_error=expected)

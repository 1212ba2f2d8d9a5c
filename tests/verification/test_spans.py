"""Candidate values are found in a request's own words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolverifier.verification.spans import is_verbatim, number_spans, string_spans


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("lat -56.7 and lon 133.3", [-56.7, 133.3]),
        ("between 1,200 and 3 000", [1200, 3, 0]),
        ("5km in 20min at 3.5%", [5, 20, 3.5]),
        ("two adults and one child", [2, 1]),
        ("version 1.2.3 of b6d", []),
        ("no numbers here", []),
        ("7, 7 and 7", [7]),
    ],
)
def test_numbers_are_found_as_they_are_written(text, numbers):
    assert number_spans(text) == numbers


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('Search for "class Agent" please', "class Agent"),
        ("How many lines does README.md have?", "README.md"),
        ("What time is it in New York?", "New York"),
        ("Find files named *.py", "*.py"),
        ("Remove tF_6-Beo_ from my list", "tF_6-Beo_"),
        ("Show what is in src/core/errors.py.", "src/core/errors.py"),
        ("Convert 5 miles to kilometres", "kilometres"),
        ("the weather in paris", "paris"),
    ],
)
def test_strings_are_found_whole(text, wanted):
    assert wanted in string_spans(text)


def test_parts_of_a_path_or_a_quotation_are_no_spans_of_their_own():
    assert string_spans("How long is README.md?") == ["README.md"]
    assert "Agent" not in string_spans("Search for 'class Agent'")


@pytest.mark.parametrize(
    ("value", "is_there"),
    [
        ("new  york", True),
        (5, True),
        (5.0, True),
        (6, False),
        (["New York", 5], True),
        (["New York", "Rome"], False),
        ({"city": "York"}, True),
        ({}, False),
        ([], False),
        ("", False),
        (True, False),
        (None, False),
    ],
)
def test_a_value_is_verbatim_where_the_text_writes_it(value, is_there):
    assert is_verbatim(value, "5 days in New York") is is_there


def test_endless_digits_and_dashes_are_no_numbers_and_take_no_time():
    assert number_spans("9" * 5000 + " and 7") == [7]
    assert string_spans("-" * 100_000) == []


@settings(max_examples=300)
@given(st.text(max_size=200))
def test_any_text_has_spans_that_it_contains(text):
    assert all(span in text for span in string_spans(text))
    assert all(is_verbatim(number, text) for number in number_spans(text))

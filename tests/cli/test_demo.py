"""`toolverifier demo` tells right answers from wrong ones."""

import pytest

from toolverifier.cli.demo import Question, missing_truths
from toolverifier.core import Trajectory


def ended(answer, stop_reason="answered"):
    return Trajectory(
        id="1", request="x", model="m", answer=answer, stop_reason=stop_reason, prompts={}
    )


@pytest.mark.parametrize(
    ("truth", "answer"),
    [
        ("99", "It has 99 lines."),
        ("99", "The file has 99."),
        ("99", "There are 99, all told."),
        ("99", "lines: (99)"),
        ("1795", "The result is 1,795."),
        ("1234567", "It has 1,234,567 bytes"),
        ("1795", "It is 1\u202f795."),
        ("agent/loop.py", "It is in ./agent/loop.py:12."),
        ("15:30", "It is 15:30:00 there"),
        ("about 771.617917647", "about 771.617917647 lb"),
        ("about 771.617917647", "That is 771.62 pounds."),
        ("about 771.617917647", "That is 771.6."),
    ],
)
def test_an_answer_is_right_that_says_the_truth(truth, answer):
    assert missing_truths(Question(request="x", truths=lambda: [truth]), ended(answer)) == ""


@pytest.mark.parametrize(
    ("truth", "answer"),
    [
        ("99", None),
        ("99", "It has 199 lines."),
        ("99", "It has 990 lines."),
        ("99", "It has 1,099 lines."),
        ("99", "It has 99,500 lines."),
        ("99", "It has 99.5 lines."),
        ("99", "It has 1.99 lines."),
        ("99", "See x99 and 99th."),
        ("1795", "It is 1, 795."),
        ("1795", "It is 17,95."),
        ("12", "1,2"),
        ("5:30", "It is 15:30."),
        ("agent/loop.py", "It is in agent/loop.pyc"),
        ("about 771.617917647", "That is 1771.6."),
        ("about 771.617917647", "That is 771.7."),
    ],
)
def test_an_answer_is_wrong_that_says_something_else(truth, answer):
    assert missing_truths(Question(request="x", truths=lambda: [truth]), ended(answer)) == (
        f"the answer does not say {truth}"
    )


def test_every_truth_must_be_said():
    question = Question(request="x", truths=lambda: ["12", "34", "56"])

    assert missing_truths(question, ended("34")) == "the answer does not say 12 and 56"


def test_a_run_must_end_as_it_should():
    question = Question(request="x", stop_reason="no_tool")

    assert missing_truths(question, ended(None, "no_tool")) == ""
    assert missing_truths(question, ended("yes")) == (
        "it ended with 'answered' instead of 'no_tool'"
    )

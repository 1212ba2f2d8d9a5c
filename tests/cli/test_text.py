"""What others wrote cannot command the terminal, and is printed as it is."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from toolverifier.agent import (
    ArgumentsDecided,
    CallFinished,
    CallStarted,
    Planned,
    RunFinished,
    RunStarted,
    ToolDecided,
)
from toolverifier.cli.live import LiveView, call_text
from toolverifier.cli.text import visible
from toolverifier.core import (
    ArgumentDecision,
    Candidate,
    Distribution,
    ToolCall,
    ToolResult,
    Trajectory,
    Verdict,
)
from toolverifier.verification import ArgumentsDecision, ToolDecision

ATTACK = "a\x1b]0;title\x07b\x9b31mc\u202ed\u2066e\ud800[/x]"
SHOWN = "a\ufffd]0;title\ufffdb\ufffd31mc\ufffdd\ufffde\ufffd[/x]"
EVEN = Distribution(options=(ATTACK, "y"), probabilities=(0.5, 0.5), source="scores")
CALL = ToolCall(id="1", name=ATTACK, arguments={})
VERDICT = Verdict(
    about="tool",
    method="contrast",
    candidates=(ATTACK, "y"),
    question=ATTACK,
    answer=ATTACK,
    before=EVEN,
    after=EVEN,
    changed=True,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ATTACK, SHOWN),
        ("one\r\ntwo\n\tthree\rfour", "one\ntwo\n\tthree\ufffdfour"),
        ("é 漢字 שלום 👩\u200d🔬", "é 漢字 שלום 👩\u200d🔬"),
    ],
)
def test_what_could_command_a_terminal_is_replaced_and_the_rest_is_kept(text, expected):
    assert visible(text) == expected


@given(st.text(st.characters(categories=["Cc", "Cs"])))
def test_no_control_character_but_newline_and_tab_is_left(text):
    assert set(visible(text)) <= {"\n", "\t", "\ufffd"}


def test_a_call_stands_on_one_line_whatever_its_argument_names_are():
    call = ToolCall(id="1", name="erase\x1b[2J", arguments={"a\nb": "c\nd\x9b"})

    assert call_text(call).plain == 'erase\ufffd[2J(a\\nb="c\\nd\ufffd")'


@pytest.mark.parametrize(
    "event",
    [
        RunStarted(run_id="1", request=ATTACK),
        Planned(parts=("x", ATTACK)),
        ToolDecided(
            part="x",
            decision=ToolDecision(candidates=(Candidate(name=ATTACK, probability=1.0),)),
        ),
        ToolDecided(
            part="x",
            decision=ToolDecision(
                candidates=(Candidate(name="x", probability=1.0),), left_out=(ATTACK,)
            ),
        ),
        ToolDecided(
            part="x",
            decision=ToolDecision(
                candidates=(Candidate(name="x", probability=1.0),), verdicts=(VERDICT,)
            ),
        ),
        ArgumentsDecided(
            part="x",
            tool="x",
            decision=ArgumentsDecision(
                arguments={},
                decisions=(
                    ArgumentDecision(
                        name=ATTACK, value=1, given=True, candidates=(), grounds="request"
                    ),
                ),
                missing=(),
            ),
        ),
        CallStarted(call=CALL),
        CallFinished(call=CALL, result=ToolResult(call_id="1", name="x", content=ATTACK)),
        RunFinished(
            trajectory=Trajectory(
                id="1", request="x", model="m", answer=ATTACK, stop_reason="answered", prompts={}
            )
        ),
    ],
    ids=lambda event: type(event).__name__,
)
def test_every_event_is_shown_without_commands_to_the_terminal_and_without_markup(event):
    console = Console(file=io.StringIO(), width=1000)
    LiveView(console).show(event)
    output = console.file.getvalue()

    assert SHOWN in output
    assert output == visible(output)

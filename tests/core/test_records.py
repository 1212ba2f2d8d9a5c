"""Records keep their meaning when they are written and read, and refuse what they cannot mean."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolverifier.core import (
    ArgumentDecision,
    Candidate,
    Distribution,
    Step,
    ToolCall,
    ToolResult,
    Trajectory,
    Usage,
    UsageError,
    Verdict,
    append_jsonl,
    from_json,
    gather_bounded,
    read_jsonl,
    to_json,
)

BEFORE = Distribution(options=("a", "b"), probabilities=(0.6, 0.4), source="scores")
AFTER = Distribution(options=("a", "b"), probabilities=(0.2, 0.8), source="scores")
TRAJECTORY = Trajectory(
    id="r1",
    request="what time is it\u2028in Tokyo?",
    model="scripted",
    steps=(
        Step(
            request="what time is it?",
            candidates=(
                Candidate(
                    name="a",
                    probability=0.8,
                    evidence={"channel": -3.5},
                    arguments={"x": [1, None]},
                ),
                Candidate(name="none", probability=0.2),
            ),
            verdicts=(
                Verdict(
                    about="tool",
                    method="pair",
                    candidates=("a", "b"),
                    question=None,
                    answer="b",
                    before=BEFORE,
                    after=AFTER,
                    changed=True,
                ),
            ),
            arguments=(
                ArgumentDecision(
                    name="x",
                    value=[1, None],
                    given=True,
                    candidates=(Candidate(name="[1, null]", probability=1.0),),
                    grounds="draw",
                ),
            ),
            call=ToolCall(id="c1", name="a", arguments={"x": [1, None]}),
            result=ToolResult(call_id="c1", name="a", content="no", error="timeout"),
            left_out=("direct: gone",),
            usage=Usage(computed_tokens=1, reused_tokens=2, generated_tokens=3, model_calls=4),
            seconds=0.5,
        ),
    ),
    answer="It is 9.",
    stop_reason="answered",
    prompts={"channel": "0123456789ab"},
    usage=Usage(computed_tokens=1),
    seconds=1.0,
)


def test_a_trajectory_comes_back_from_json_as_it_was():
    assert from_json(Trajectory, to_json(TRAJECTORY)) == TRAJECTORY


def test_trajectories_come_back_from_a_file_in_order(tmp_path):
    path = tmp_path / "runs.jsonl"
    append_jsonl(path, TRAJECTORY)
    append_jsonl(path, TRAJECTORY)

    assert read_jsonl(path, Trajectory) == [TRAJECTORY, TRAJECTORY]
    assert path.read_bytes().count(b"\n") == 2


def test_data_of_another_version_are_refused():
    with pytest.raises(UsageError, match="schema_version is 99, this release reads 1"):
        from_json(Trajectory, to_json(TRAJECTORY) | {"schema_version": 99})


def test_a_line_that_is_no_record_is_named_by_file_and_number(tmp_path):
    path = tmp_path / "runs.jsonl"
    append_jsonl(path, TRAJECTORY)
    for bad in ("{", "[]", '{"schema_version": 1}'):
        text = path.read_text().split("\n")[0] + f"\n{bad}\n"
        path.write_text(text)
        with pytest.raises(UsageError, match=r"runs\.jsonl:2: "):
            read_jsonl(path, Trajectory)


def test_a_trajectory_lists_the_calls_of_its_steps():
    assert [call.id for call in TRAJECTORY.calls] == ["c1"]


@given(st.dictionaries(st.text(), st.integers(-1000, 1000), min_size=1, max_size=20))
def test_a_softmax_is_a_distribution_in_the_order_of_its_logits(logits):
    distribution = Distribution.from_logits(logits, source="scores")

    assert distribution.options == tuple(logits)
    assert math.isclose(sum(distribution.probabilities), 1.0, abs_tol=1e-9)
    assert 0.0 <= distribution.margin <= 1.0
    assert logits[distribution.best] == max(logits.values())


@pytest.mark.parametrize("probabilities", [(), (0.5,), (0.7, 0.7), (1.5, -0.5)])
def test_what_does_not_sum_to_one_is_no_distribution(probabilities):
    with pytest.raises(ValueError, match=r"distribution|options"):
        Distribution(options=("a", "b"), probabilities=probabilities, source="rule")


async def test_side_by_side_work_keeps_order_and_bound():
    running = 0
    most = 0

    async def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return item * item

    assert await gather_bounded(range(10), work, limit=3) == [n * n for n in range(10)]
    assert most == 3


async def test_the_first_failure_of_side_by_side_work_is_raised_as_itself():
    async def work(item: int) -> int:
        raise KeyError(item)

    with pytest.raises(KeyError):
        await gather_bounded([1, 2], work, limit=2)

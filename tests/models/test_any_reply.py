"""Whatever JSON a server answers with: an output or a `ModelError`, and nothing else."""

from __future__ import annotations

import asyncio
import copy
import json
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolverifier.core import ModelError
from toolverifier.models import (
    GenerateConfig,
    ModelOutput,
    OpenAIModel,
    RetryPolicy,
    ScoreItem,
    Scores,
)

from .contract import CHAT, CHOICES, SCHEMA, TEXT
from .raw_server import Request, response, serving

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = (
    SCALARS
    | st.lists(SCALARS, max_size=3)
    | st.dictionaries(st.text(max_size=6), SCALARS, max_size=3)
)
CHANCE = {"token": " c", "logprob": -0.5, "top_logprobs": [{"token": " d", "logprob": -1.5}]}
ECHO = {
    "tokens": ["a", " b", " c"],
    "token_logprobs": [None, -1.0, -2.0],
    "text_offset": [0, 1, 3],
    "top_logprobs": [None, {" b": -1.0}, {" c": -2.0}],
}
USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}}
CHOICE = {"text": "cold", "finish_reason": "stop", "stop_reason": None}
SHAPED = {"message": {"content": '{"answer": "qvxz"}'}, "logprobs": {"content": [CHANCE]}}
LLAMA = {
    "content": "cold",
    "stop_type": "eos",
    "tokens_predicted": 1,
    "tokens_evaluated": 3,
    "timings": {"cache_n": 1},
    "completion_probabilities": [{"id": 3, **CHANCE}],
}
VALID: tuple[Any, ...] = (
    {"choices": [CHOICE], "usage": USAGE},
    {"choices": [SHAPED], "tokens": [1, 2, 3]},
    {"choices": [{"text": "a b c", "logprobs": ECHO}], "usage": USAGE},
    {"choices": [{"text": "", "prompt_logprobs": [None, {"1": {"logprob": -1.0}}]}]},
    {"prompt": "rendered", "tokens": [1, 2, 3], **LLAMA, "choices": [CHOICE]},
)
STATUSES = st.sampled_from([200] * 9 + [404, 500])
VERBS = st.sampled_from(["text", "chat", "choices", "schema", "score"])


@st.composite
def replies(draw: st.DrawFn) -> Any:
    """A valid reply, or one that was changed in a place or two, or anything."""
    whole = [copy.deepcopy(draw(st.sampled_from(VALID)))]
    for _ in range(draw(st.integers(0, 2))):
        place: Any = whole
        key: Any = 0
        while isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 5)):
            place = place[key]
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = draw(st.sampled_from(keys))
        place[key] = draw(JSON)
    return whole[0]


class Puppet:
    """A server that gives the replies of the example in turn, over and over."""

    def __init__(self) -> None:
        self.replies: list[tuple[int, Any]] = []
        self.count = 0

    async def answer(self, _request: Request, writer: asyncio.StreamWriter) -> None:
        status, reply = self.replies[self.count % len(self.replies)]
        self.count += 1
        writer.write(response(json.dumps(reply), status=status))


async def no_wait(_seconds: float) -> None:
    pass


async def outcome_of(url: str, verb: str) -> str:
    """Asks the server at `url` in one of the ways there are, and returns what came of it."""
    model = OpenAIModel("m", base_url=url, retry=RetryPolicy(attempts=2, sleep=no_wait))
    try:
        if verb == "score":
            scores = await model.score([ScoreItem(prompt="a b", continuation=" c")])
            assert isinstance(scores, Scores)
            assert all(value <= 0 for value in scores.values)
            return "Scores"
        prompt, shape = {
            "text": (TEXT, None),
            "chat": (CHAT, None),
            "choices": (CHAT, CHOICES),
            "schema": (TEXT, SCHEMA),
        }[verb]
        config = GenerateConfig(max_tokens=8, top_logprobs=2)
        output = await model.generate(prompt, shape=shape, config=config)
        assert isinstance(output, ModelOutput)
        assert isinstance(output.text, str)
        return "ModelOutput"
    except ModelError:
        return "ModelError"
    finally:
        await model.aclose()


def test_whatever_a_server_answers_is_an_output_or_a_model_error():
    outcomes: Counter[str] = Counter()
    puppet = Puppet()
    with asyncio.Runner() as runner:
        server = serving(puppet.answer)
        url = runner.run(server.__aenter__()).url

        @settings(
            max_examples=500,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(st.tuples(STATUSES, replies()), min_size=1, max_size=4), VERBS)
        def check(answers: list[tuple[int, Any]], verb: str) -> None:
            puppet.replies, puppet.count = answers, 0
            outcomes[runner.run(outcome_of(url, verb))] += 1

        try:
            check()
        finally:
            runner.run(server.__aexit__(None, None, None))
    assert outcomes.total() >= 400
    assert {"ModelError", "ModelOutput"} <= set(outcomes)

"""What every model backend must do, as tests over two fixtures.

A backend's test module imports all of it (``from .contract import *``) and gives the fixtures: ``model``, a model
ready for use, of any scope; ``spare_model``, one that a test may close. Where a backend cannot score, the tests of
`score` are skipped with the backend's own words.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Sequence

import jsonschema
import pytest

from toolverifier.core import Message, ModelError, NotSupportedError, UsageError
from toolverifier.models.base import GenerateConfig, Model, Prompt, ScoreItem, Scores

TEXT = "The capital of France is Paris. The capital of Italy is"
CHAT = (
    Message(role="system", content="You answer in few words."),
    Message(role="user", content="What is the capital of France?"),
)
BEGUN = (*CHAT, Message(role="assistant", content="The capital of France is"))
CHOICES = ("cold", "warm", "hot as an oven")
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "unit": {"enum": ["metric", "imperial"]},
    },
    "required": ["city", "days", "unit"],
    "additionalProperties": False,
}
SHORT = GenerateConfig(max_tokens=12)
LONG = GenerateConfig(max_tokens=192)
TOLERANCE = 0.25
"""Nats by which two computations of the same sum may differ; batches are rounded differently."""


async def scored(model: Model, items: Sequence[ScoreItem]) -> Scores:
    try:
        return await model.score(items)
    except NotSupportedError as error:
        pytest.skip(f"cannot score: {error}")


def item(prompt: Prompt, continuation: str, *, end: bool = False) -> ScoreItem:
    return ScoreItem(prompt=prompt, continuation=continuation, end=end)


async def test_a_model_has_a_name(model):
    assert isinstance(model.name, str)
    assert model.name


@pytest.mark.parametrize("prompt", [TEXT, CHAT, BEGUN], ids=["text", "chat", "begun"])
async def test_greedy_text_is_the_same_every_time(model, prompt):
    first = await model.generate(prompt, config=SHORT)
    second = await model.generate(prompt, config=SHORT)
    assert first.text
    assert (first.text, first.stop) == (second.text, second.stop)


async def test_a_seed_gives_the_same_draw_every_time(model):
    config = GenerateConfig(max_tokens=12, temperature=1.0, seed=7)
    texts = {(await model.generate(TEXT, config=config)).text for _ in range(3)}
    assert len(texts) == 1


async def test_text_ends_at_max_tokens(model):
    output = await model.generate(TEXT, config=GenerateConfig(max_tokens=3))
    assert output.stop == "length"
    assert 1 <= output.usage.generated_tokens <= 3


@pytest.mark.parametrize("prompt", [TEXT, CHAT], ids=["text", "chat"])
async def test_text_before_the_stop_string_is_kept_and_the_stop_string_is_not(model, prompt):
    free = await model.generate(prompt, config=SHORT)
    middle = free.text[2:4]
    cut = await model.generate(prompt, config=GenerateConfig(max_tokens=12, stop=("@@@", middle)))
    assert middle
    assert (cut.text, cut.stop) == (free.text[: free.text.index(middle)], "stop_string")


@pytest.mark.parametrize("prompt", [TEXT, CHAT], ids=["text", "chat"])
async def test_a_set_of_choices_gives_one_of_them(model, prompt):
    output = await model.generate(prompt, shape=CHOICES, config=SHORT)
    assert output.text in CHOICES
    assert output.stop == "end"


@pytest.mark.parametrize("prompt", [TEXT, CHAT], ids=["text", "chat"])
async def test_a_schema_gives_json_that_is_valid_under_it(model, prompt):
    output = await model.generate(prompt, shape=SCHEMA, config=LONG)
    jsonschema.validate(json.loads(output.text), SCHEMA)
    assert output.stop == "end"


async def test_text_that_has_no_room_for_its_shape_is_an_error_and_never_a_part_of_it(model):
    with pytest.raises(ModelError):
        await model.generate(CHAT, shape=SCHEMA, config=GenerateConfig(max_tokens=1))


async def test_first_tokens_come_with_log_probabilities_where_the_backend_has_them(model):
    output = await model.generate(TEXT, config=GenerateConfig(max_tokens=2, top_logprobs=3))
    assert len(output.first_token) <= 3
    assert all(value <= 0 for value in output.first_token.values())
    assert sum(math.exp(value) for value in output.first_token.values()) <= 1.01


@pytest.mark.parametrize("prompt", [TEXT, CHAT, BEGUN], ids=["text", "chat", "begun"])
async def test_usage_counts_what_was_read_and_what_was_written(model, prompt):
    usage = (await model.generate(prompt, config=SHORT)).usage
    assert usage.model_calls == 1
    assert usage.computed_tokens + usage.reused_tokens >= 5
    assert 1 <= usage.generated_tokens <= 12


async def test_concurrent_generations_give_what_sequential_ones_give(model):
    prompts = [TEXT, CHAT, TEXT, BEGUN, CHAT, TEXT]
    sequential = [(await model.generate(prompt, config=SHORT)).text for prompt in prompts]
    concurrent = await asyncio.gather(*[model.generate(prompt, config=SHORT) for prompt in prompts])
    assert [output.text for output in concurrent] == sequential


async def test_a_model_goes_on_after_a_cancelled_generation(model):
    before = await model.generate(TEXT, config=SHORT)
    task = asyncio.create_task(model.generate(TEXT, config=LONG))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):  # a model without a wait is done already
        await task
    assert (await model.generate(TEXT, config=SHORT)).text == before.text


async def test_more_likely_text_scores_higher(model):
    items = [
        item(TEXT, " Rome"),
        item(TEXT, " Potato"),
        item(BEGUN, " Paris"),
        item(BEGUN, " Zinc"),
    ]
    scores = await scored(model, items)
    assert scores.values[0] > scores.values[1]
    assert scores.values[2] > scores.values[3]
    assert all(value <= 0 for value in scores.values)
    assert all(count >= 1 for count in scores.tokens)


async def test_the_score_of_a_continuation_is_the_sum_over_its_parts(model):
    scores = await scored(
        model,
        [item(TEXT, " Rome, of course"), item(TEXT, " Rome"), item(TEXT + " Rome", ", of course")],
    )
    whole, first, second = scores.values
    assert whole == pytest.approx(first + second, abs=TOLERANCE)
    assert scores.tokens[0] == scores.tokens[1] + scores.tokens[2]


async def test_a_batch_scores_as_its_items_alone_do(model):
    items = [
        item(TEXT, " Rome"),
        item(CHAT, "Paris"),
        item(TEXT, " a very long answer that says little about Italy"),
        item(BEGUN, " Paris."),
        item(TEXT, " Rome"),
    ]
    batch = await scored(model, items)
    alone = [await scored(model, [one]) for one in items]
    assert list(batch.values) == pytest.approx([one.values[0] for one in alone], abs=TOLERANCE)
    assert list(batch.tokens) == [one.tokens[0] for one in alone]


async def test_concurrent_scores_are_what_sequential_ones_are(model):
    batches = [
        [item(TEXT, " Rome")],
        [item(CHAT, "Paris")],
        [item(TEXT, " Milan"), item(CHAT, "?")],
    ]
    sequential = [await scored(model, batch) for batch in batches]
    concurrent = await asyncio.gather(*[scored(model, batch) for batch in batches])
    for one, other in zip(concurrent, sequential, strict=True):
        assert list(one.values) == pytest.approx(list(other.values), abs=TOLERANCE)
        assert one.tokens == other.tokens


async def test_the_end_of_the_turn_counts_as_one_more_token(model):
    scores = await scored(
        model, [item(CHAT, "Paris"), item(CHAT, "Paris", end=True), item(CHAT, "", end=True)]
    )
    assert scores.values[1] < scores.values[0]
    assert scores.tokens[1] == scores.tokens[0] + 1
    assert (scores.tokens[2], scores.values[2] < 0) == (1, True)


async def test_a_batch_counts_as_one_call(model):
    usage = (await scored(model, [item(TEXT, " Rome"), item(CHAT, "Paris")])).usage
    assert usage.model_calls == 1
    assert usage.computed_tokens + usage.generated_tokens >= 2


async def test_nothing_to_score_gives_no_scores(model):
    scores = await scored(model, [])
    assert (scores.values, scores.tokens) == ((), ())


async def test_an_empty_continuation_is_refused_by_its_place(model):
    with pytest.raises(UsageError, match="item 1"):
        await scored(model, [item(TEXT, " Rome"), item(TEXT, "")])


async def test_a_closed_model_says_that_it_is_closed(spare_model):
    await spare_model.aclose()
    await spare_model.aclose()
    with pytest.raises(ModelError, match="closed"):
        await spare_model.generate(TEXT, config=SHORT)
    with pytest.raises(ModelError, match="closed"):
        await spare_model.score([item(TEXT, " Rome")])

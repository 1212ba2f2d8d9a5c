"""The models for tests keep the contract of real ones, and say what a script lacks."""

from __future__ import annotations

import json

import pytest

from toolverifier.core import Message, ModelError, NotSupportedError, Usage, UsageError
from toolverifier.models import (
    FunctionModel,
    GenerateConfig,
    ModelOutput,
    Prompt,
    ScoreItem,
    Scores,
    ScriptedModel,
    Shape,
)

from . import tiny
from .contract import *  # noqa: F403
from .contract import SCHEMA

SENTENCE = "Rome, the city on seven hills, is the capital of Italy and of much else."


def text_of(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    return "".join(f"<|{message.role}|>{message.content}" for message in prompt)


def tiny_text(prompt: Prompt, shape: Shape, config: GenerateConfig) -> str:
    if shape is not None:
        return tiny.shaped(shape if isinstance(shape, tuple) else dict(shape))
    return "".join(tiny.generate(text_of(prompt), max_tokens=40, seed=config.seed))


async def tiny_score(item: ScoreItem) -> float:
    return tiny.score(text_of(item.prompt), item.continuation, end=item.end)


def scripted(test: str) -> ScriptedModel:
    text = SENTENCE
    if "choices" in test:
        text = "cold"
    if "schema" in test or "shape" in test:
        text = json.dumps(tiny.instance(SCHEMA))
    return ScriptedModel(
        [text] * 20,
        scores=lambda item: tiny.score(text_of(item.prompt), item.continuation, end=item.end),
    )


@pytest.fixture(params=["scripted", "function"])
def model(request: pytest.FixtureRequest) -> ScriptedModel | FunctionModel:
    if request.param == "scripted":
        return scripted(request.node.originalname)
    return FunctionModel(tiny_text, score=tiny_score)


@pytest.fixture(params=["scripted", "function"])
def spare_model(request: pytest.FixtureRequest) -> ScriptedModel | FunctionModel:
    return ScriptedModel() if request.param == "scripted" else FunctionModel()


async def test_a_script_is_said_in_order_and_what_was_asked_is_remembered():
    model = ScriptedModel(["first", "second"])
    chat = (Message(role="user", content="and now?"),)
    outputs = [await model.generate("one"), await model.generate(chat)]
    assert outputs == [
        ModelOutput(
            text="first",
            stop="end",
            usage=Usage(computed_tokens=1, generated_tokens=1, model_calls=1),
        ),
        ModelOutput(
            text="second",
            stop="end",
            usage=Usage(computed_tokens=5, generated_tokens=1, model_calls=1),
        ),
    ]
    assert model.prompts == ["one", chat]


async def test_a_script_at_its_end_says_what_was_asked_beyond_it():
    model = ScriptedModel(["only"])
    await model.generate("one")
    with pytest.raises(ModelError, match=r"has 1 outputs .* 'two'"):
        await model.generate("two")


ITEMS = (
    ScoreItem(prompt="a", continuation=" b"),
    ScoreItem(prompt="a", continuation=" c d", end=True),
)


@pytest.mark.parametrize(
    "scores",
    [[-1.0, -2.5], {" b": -1.0, " c d": -2.5}, lambda item: -2.5 if item.end else -1.0],
    ids=["list", "mapping", "function"],
)
async def test_a_script_scores_by_a_list_a_mapping_or_a_function(scores):
    model = ScriptedModel(scores=scores)
    assert await model.score(ITEMS) == Scores(
        values=(-1.0, -2.5), tokens=(1, 3), usage=Usage(computed_tokens=6, model_calls=1)
    )
    assert model.items == list(ITEMS)


@pytest.mark.parametrize("scores", [[-1.0], {" b": -1.0}], ids=["list", "mapping"])
async def test_a_score_that_the_script_lacks_is_named(scores):
    with pytest.raises(ModelError, match="no score for item 1, the continuation ' c d'"):
        await ScriptedModel(scores=scores).score(ITEMS)


async def test_what_a_model_was_given_no_function_for_it_does_not_support():
    with pytest.raises(NotSupportedError, match="scripted has no function to score with"):
        await ScriptedModel(["text"]).score(ITEMS)
    with pytest.raises(NotSupportedError, match="mute has no function to generate with"):
        await FunctionModel(name="mute").generate("text")


async def test_scripted_text_is_checked_against_the_shape():
    with pytest.raises(ModelError, match='"mild" is none of'):
        await ScriptedModel(["mild"]).generate("How is it?", shape=("cold", "hot"))
    with pytest.raises(ModelError, match=r"\$\.days: 'x' is not"):
        await ScriptedModel(['{"city": "Rome", "days": "x", "unit": "metric"}']).generate(
            "How long?", shape=SCHEMA
        )


@pytest.mark.parametrize(
    "shape", [(), ("a", ""), {"type": "objekt"}, {"$schema": "draft-1"}, {"properties": [1]}]
)
async def test_a_shape_that_no_text_can_have_is_refused(shape):
    with pytest.raises(UsageError, match="shape"):
        await ScriptedModel(["a"]).generate("x", shape=shape)


async def test_a_schema_that_cannot_be_followed_is_an_error_of_the_model_call():
    with pytest.raises(ModelError, match="the schema cannot be followed"):
        await ScriptedModel(["1"]).generate("x", shape={"$ref": "https://example.com/schema"})


async def test_a_function_may_give_a_whole_output_and_be_async():
    output = ModelOutput(text="as it is", stop="length", first_token={"as": -0.5})

    async def generate(_prompt: Prompt, _shape: Shape, _config: GenerateConfig) -> ModelOutput:
        return output

    assert await FunctionModel(generate).generate("x") is output

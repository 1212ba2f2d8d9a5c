"""Tools are weighed, looked at again where two are close, and decided; what fails is left out and named."""

import math

import pytest

from toolverifier.core import ModelError, NotSupportedError
from toolverifier.models import FunctionModel, ModelOutput, ScoreItem
from toolverifier.tools import ToolSpec
from toolverifier.verification import (
    NONE,
    Channel,
    Lexical,
    Situation,
    ToolDecider,
    Weights,
)

NOW = ToolSpec(name="weather_now", description="Tells the weather right now in a city.")
LATER = ToolSpec(
    name="weather_forecast", description="Tells the weather of the coming days in a city."
)
CATS = ToolSpec(name="cat_pictures", description="Shows pictures of cats.")
TOOLS = (NOW, LATER, CATS)


def prompt_text(item: ScoreItem) -> str:
    return "\n".join(message.content for message in item.prompt)


def scoring(channel, *, direct=None, pair=None, first=0.0):
    """A scorer with the given log-likelihoods by tool name, and a liking in pairs for whatever stands `first`."""

    def score(item: ScoreItem) -> float:
        text = prompt_text(item)
        asked = item.prompt[-1].content
        if text.count("\n- ") == 2:
            stands_first = f"- {item.continuation}:" in text.split("\n")[3]
            return (pair or {}).get(item.continuation, 0.0) * bool(asked) + first * stands_first
        if item.continuation in channel and "Answer with the tool's name" in text:
            return (direct or {}).get(item.continuation, 0.0) if asked else 0.0
        for name, value in channel.items():
            if f"Tool: {name}\n" in text:
                return value
        return channel.get(NONE, -30.0)

    return score


def decider(score, **changes):
    values = {
        "evidence": {"channel": 1.0, "direct": 1.0, "pair": 1.0},
        "none_bias": 0.0,
        "gate": 0.5,
    }
    return ToolDecider(FunctionModel(score=score), weights=Weights(**(values | changes)))


async def test_a_clear_choice_is_made_without_a_second_look():
    decision = await decider(
        scoring({"weather_now": -5, "weather_forecast": -15, "cat_pictures": -20})
    ).decide("weather in Rome?", TOOLS)

    assert decision.tool == "weather_now"
    assert decision.verdicts == ()
    assert [candidate.name for candidate in decision.candidates] == [
        "weather_now",
        "weather_forecast",
        "cat_pictures",
        "none",
    ]
    assert decision.candidates[0].evidence == {"channel": -5, "direct": 0.0}
    assert math.isclose(sum(candidate.probability for candidate in decision.candidates), 1.0)


async def test_two_close_candidates_are_looked_at_again_and_the_look_can_change_the_choice():
    score = scoring(
        {"weather_now": -5, "weather_forecast": -5.2, "cat_pictures": -20},
        pair={"weather_forecast": 3.0},
    )
    decision = await decider(score).decide("weather in Rome tomorrow?", TOOLS)

    (verdict,) = decision.verdicts
    assert decision.tool == "weather_forecast"
    assert verdict.candidates == ("weather_now", "weather_forecast")
    assert (verdict.method, verdict.answer, verdict.changed) == ("pair", "weather_forecast", True)
    assert verdict.before.best == "weather_now"
    assert verdict.after.best == "weather_forecast"
    assert decision.candidates[0].evidence["pair"] == 1.5


async def test_a_liking_for_a_place_moves_nothing():
    score = scoring({"weather_now": -5, "weather_forecast": -5.2, "cat_pictures": -20}, first=9.0)
    decision = await decider(score).decide("weather?", TOOLS)

    assert decision.tool == "weather_now"
    assert decision.verdicts[0].before.probabilities == pytest.approx(
        decision.verdicts[0].after.probabilities
    )


async def test_a_second_look_leaves_the_other_candidates_as_they_are():
    score = scoring(
        {"weather_now": -5, "weather_forecast": -5.2, "cat_pictures": -6}, pair={"weather_now": 3.0}
    )
    decision = await decider(score).decide("weather?", TOOLS)

    before, after = (
        dict(zip(each.options, each.probabilities, strict=True))
        for each in (decision.verdicts[0].before, decision.verdicts[0].after)
    )
    assert after["cat_pictures"] == pytest.approx(before["cat_pictures"])
    assert after["weather_now"] > before["weather_now"]


async def test_a_request_that_no_tool_serves_gets_none():
    score = scoring({"weather_now": -25, "weather_forecast": -25, "cat_pictures": -20, NONE: -5})
    decision = await decider(score).decide("what is love?", TOOLS)

    assert decision.tool is None
    assert decision.candidates[0].name == NONE


async def test_a_library_without_tools_is_none_without_asking_twice():
    decision = await decider(scoring({NONE: -5})).decide("hello", ())

    assert decision.tool is None
    assert decision.candidates[0].probability == 1.0
    assert decision.verdicts == ()


async def test_a_piece_of_evidence_that_fails_is_left_out_and_named():
    good = scoring({"weather_now": -5, "weather_forecast": -15, "cat_pictures": -20})

    def score(item: ScoreItem) -> float:
        if "Answer with the tool's name" in prompt_text(item):
            raise ModelError("connection lost")
        return good(item)

    decision = await decider(score).decide("weather?", TOOLS)

    assert decision.tool == "weather_now"
    assert decision.left_out == ("direct: connection lost",)
    assert "direct" not in decision.candidates[0].evidence


async def test_a_second_look_that_fails_abstains_and_keeps_the_choice():
    good = scoring({"weather_now": -5, "weather_forecast": -5.2, "cat_pictures": -20})

    def score(item: ScoreItem) -> float:
        if prompt_text(item).count("\n- ") == 2:
            raise ModelError("connection lost")
        return good(item)

    decision = await decider(score).decide("weather?", TOOLS)

    assert decision.tool == "weather_now"
    assert decision.verdicts[0].abstained == "connection lost"
    assert decision.verdicts[0].changed is False
    assert decision.left_out == ("pair: connection lost",)


async def test_a_model_that_fails_at_everything_is_an_error():
    def score(_: ScoreItem) -> float:
        raise ModelError("connection lost")

    with pytest.raises(ModelError, match="connection lost"):
        await decider(score, evidence={"lexical": 1.0, "channel": 1.0, "direct": 1.0}).decide(
            "x", TOOLS
        )


async def test_evidence_without_a_weight_is_not_asked_for():
    asked = []

    def score(item: ScoreItem) -> float:
        asked.append(prompt_text(item))
        return -1.0

    await decider(score, evidence={"channel": 1.0}).decide("weather?", TOOLS)

    assert len(asked) == 4
    assert all("Answer with" not in text for text in asked)


async def test_what_does_not_depend_on_the_request_is_scored_once():
    asked = []

    def score(item: ScoreItem) -> float:
        asked.append(item)
        return -1.0

    weighing = decider(score, evidence={"direct": 1.0})
    await weighing.decide("weather?", TOOLS)
    first = len(asked)
    await weighing.decide("cats?", TOOLS)

    assert first == 2 * 4
    assert len(asked) - first == 4


async def test_a_model_that_cannot_score_chooses_by_the_log_probabilities_of_labels():
    def generate(prompt, shape, config):
        favoured = "B" if "coming days" in prompt[0].content.split("B: ")[1].split("\n")[0] else "A"
        return ModelOutput(
            text=favoured,
            stop="end",
            first_token={favoured: -0.1, "A": -0.1 if favoured == "A" else -3.0, "x": -5.0},
        )

    weighing = ToolDecider(FunctionModel(generate))
    decision = await weighing.decide("weather tomorrow?", TOOLS)

    assert decision.tool == "weather_forecast"
    assert [reason.split(":")[0] for reason in decision.left_out] == ["channel"]


async def test_a_label_that_a_server_masks_is_unlikely_and_not_impossible():
    masked = {"A": -9999.0, "B": -0.01, "C": -9999.0, "D": -9999.0}
    model = FunctionModel(lambda *_: ModelOutput(text="B", stop="end", first_token=masked))
    decision = await ToolDecider(model).decide("weather tomorrow?", TOOLS)

    assert decision.tool == "weather_forecast"
    assert all(candidate.probability > 0 for candidate in decision.candidates)


async def test_a_model_without_log_probabilities_votes():
    answers = iter("AABAA" * 10)
    weighing = ToolDecider(
        FunctionModel(lambda *_: next(answers)),
        weights=Weights(evidence={"direct": 1.0}, none_bias=0.0, gate=0.0),
    )
    decision = await weighing.decide("weather?", TOOLS)

    assert decision.tool == "weather_now"
    assert decision.candidates[0].probability == pytest.approx(4.5 / 7)


async def test_a_large_library_gets_numbers_for_labels():
    tools = [ToolSpec(name=f"tool_{n}", description=f"Does thing {n}.") for n in range(40)]
    weighing = ToolDecider(
        FunctionModel(lambda *_: "17"),
        weights=Weights(evidence={"direct": 1.0}, none_bias=0.0, gate=0.0),
    )
    decision = await weighing.decide("thing 16", tools)

    assert decision.tool == "tool_16"


async def test_pairs_are_decided_by_label_where_nothing_can_score():
    model = FunctionModel(
        lambda prompt, shape, config: "A" if "A: weather_now" in prompt[0].content else "B"
    )
    weighing = ToolDecider(
        model, weights=Weights(evidence={"direct": 0.1, "pair": 1.0}, none_bias=0.0, gate=1.0)
    )
    decision = await weighing.decide("weather?", TOOLS)

    assert decision.verdicts[0].method == "pair"
    assert decision.verdicts[0].answer == "weather_now"


async def test_shared_words_favour_the_tool_that_has_them_alone():
    situation = Situation(request="Show me pictures of my cat", tools=TOOLS)
    reading = await Lexical().read(situation, model=FunctionModel(), priors=FunctionModel())

    assert max(reading.scores, key=reading.scores.get) == "cat_pictures"
    assert reading.scores[NONE] == 0.0
    assert reading.source == "rule"


async def test_the_channel_scores_the_request_to_its_end_under_every_tool():
    items = []

    def score(item: ScoreItem) -> float:
        items.append(item)
        return -1.0

    model = FunctionModel(score=score)
    await Channel().read(Situation(request="weather?", tools=TOOLS), model=model, priors=model)

    assert [(item.continuation, item.end) for item in items] == [("weather?", True)] * 4
    assert len({item.prompt for item in items}) == 4


async def test_a_backend_that_cannot_score_says_so_to_the_channel():
    with pytest.raises(NotSupportedError):
        await Channel().read(
            Situation(request="x", tools=TOOLS), model=FunctionModel(), priors=FunctionModel()
        )

"""What was scored once is remembered, within bounds."""

from toolverifier.core import Usage
from toolverifier.models import MemoModel, ScoreItem, ScriptedModel


def item(text: str) -> ScoreItem:
    return ScoreItem(prompt="Q:", continuation=text)


def scripted() -> ScriptedModel:
    return ScriptedModel(scores={" a": -1.0, " b": -2.0, " c": -3.0})


async def test_each_item_is_asked_for_once_and_all_come_back_in_order():
    model = scripted()
    memo = MemoModel(model)

    first = await memo.score([item(" a"), item(" b"), item(" a")])
    second = await memo.score([item(" c"), item(" b"), item(" a")])
    third = await memo.score([item(" b"), item(" c")])

    assert [first.values, second.values, third.values] == [
        (-1.0, -2.0, -1.0),
        (-3.0, -2.0, -1.0),
        (-2.0, -3.0),
    ]
    assert first.tokens == (1, 1, 1)
    assert model.items == [item(" a"), item(" b"), item(" c")]
    assert third.usage == Usage()


async def test_the_least_recently_used_item_is_forgotten_first():
    model = scripted()
    memo = MemoModel(model, max_items=2)

    await memo.score([item(" a"), item(" b")])
    await memo.score([item(" a")])
    await memo.score([item(" c")])
    again = await memo.score([item(" a"), item(" b")])

    assert again.values == (-1.0, -2.0)
    assert model.items == [item(" a"), item(" b"), item(" c"), item(" b")]


async def test_more_items_than_are_remembered_are_scored_all_the_same():
    memo = MemoModel(scripted(), max_items=1)

    scores = await memo.score([item(" a"), item(" b"), item(" c")])

    assert scores.values == (-1.0, -2.0, -3.0)

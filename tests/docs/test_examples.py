"""The examples do what they say."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from toolverifier import Toolset
from toolverifier.models import FunctionModel, GenerateConfig, Prompt, ScoreItem, Shape

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower()))


def score(item: ScoreItem) -> float:
    """Stands in for a log-likelihood: the share of the continuation's words that the last turn of the user has."""
    *_, turn = (message.content for message in item.prompt if message.role == "user")
    found = words(item.continuation) & words(turn.rpartition("Request: ")[2])
    return 20.0 * len(found) / len(words(item.continuation)) - 20.0


def generate(prompt: Prompt, shape: Shape, _config: GenerateConfig) -> str:
    return "null" if shape else prompt[1].content.partition("Results:\n")[2]


@pytest.fixture
def embed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load("embed")

    async def load_model(_name: str) -> FunctionModel:
        return FunctionModel(generate, score=score)

    monkeypatch.setattr(module, "load_model", load_model)
    return module


def answer_with(monkeypatch: pytest.MonkeyPatch, module: ModuleType, *replies: str) -> list[str]:
    """Makes the user give these replies; returns the questions that were asked."""
    asked: list[str] = []
    left = list(replies)

    async def ask_user(question: str) -> str:
        asked.append(question)
        return left.pop(0)

    monkeypatch.setattr(module, "ask_user", ask_user)
    return asked


async def test_the_embedded_agent_asks_back_and_asks_before_it_changes_something(
    embed: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = answer_with(monkeypatch, embed, "to 21 degrees", "y")
    await embed.main("Please heat the office room", "hf:any")

    assert asked == [
        "Please tell me: degrees (Wanted temperature in degrees Celsius).",
        "heat_room({'room': 'office', 'degrees': 21}) will write. Make the call? [y/N]",
    ]
    assert embed.TARGETS == {"kitchen": 19, "office": 21}
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [
        "called: heat_room: The office is now heated to 21 degrees.",
        "answered: heat_room(room='office', degrees=21): The office is now heated to 21 degrees.",
    ]


async def test_the_embedded_agent_changes_nothing_without_a_yes(
    embed: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer_with(monkeypatch, embed, "")
    await embed.main("Please heat the office room to 21 degrees", "hf:any")

    assert embed.TARGETS == {"kitchen": 19, "office": 18}
    assert capsys.readouterr().out.splitlines()[-1] == "rejected: -"


async def test_the_json_tools_are_called_over_http(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOP_API_KEY", "is set again by the example, and put back afterwards")
    await load("json_tools").main()

    printed = re.sub(r"127\.0\.0\.1:\d+", "HOST", capsys.readouterr().out)
    assert printed.splitlines() == [
        'get_order({\'order_id\': \'A-1042\'}) -> ok: {"customer": "Ada", "state": "shipped"}',
        "find_orders({'customer': 'Ada'}) -> ok: [\"A-1042\", \"A-1043\"]",
        "get_order({'order_id': 'A-1'}) -> execution: HTTP 404 Not Found from GET http://HOST/orders/A-1: "
        '"there is no order A-1"',
        "get_order({'order_id': '1042'}) -> invalid_arguments: The arguments of get_order are not valid:",
        '- order_id: expected text that matches the regular expression ^A-[0-9]+$, got "1042"',
        "cancel_order({'order_id': 'A-1043'}) -> execution: cancel_order has no binding: the application itself "
        "makes its calls.",
    ]


def test_the_example_library_loads_as_it_is() -> None:
    toolset = Toolset.from_json(EXAMPLES / "tools.json")
    assert [(spec.name, spec.effect) for spec in toolset.specs] == [
        ("get_order", "read"),
        ("find_orders", "read"),
        ("cancel_order", "destructive"),
    ]

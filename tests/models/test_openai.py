"""`OpenAIModel` before servers that can much or little: what each can do is found out by asking, once."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from toolverifier.core import (
    Message,
    MissingModelError,
    ModelError,
    NotSupportedError,
    ToolCall,
    Usage,
    UsageError,
)
from toolverifier.models import GenerateConfig, ModelOutput, OpenAIModel, ScoreItem, load_model

from . import tiny
from .contract import *  # noqa: F403
from .contract import BEGUN, CHAT, CHOICES, LONG, SCHEMA, SHORT, TEXT
from .raw_server import RawServer, Request, response, serving
from .vllm_server import VllmServer

SERVERS = {
    "whole": VllmServer(),
    "prompt-logprobs": VllmServer(
        echoes=False, generates_nothing=False, choices_field="guided_choice"
    ),
    "text-alone": VllmServer(tokenizes=False, generates_nothing=False, choices_field=None),
}


@pytest.fixture(params=list(SERVERS))
async def server(request: pytest.FixtureRequest) -> AsyncIterator[RawServer]:
    async with serving(SERVERS[request.param].answer) as server:
        yield server


@pytest.fixture
async def model(server: RawServer) -> AsyncIterator[OpenAIModel]:
    model = OpenAIModel("tiny", base_url=server.url)
    yield model
    await model.aclose()


@pytest.fixture
def spare_model(server: RawServer) -> OpenAIModel:
    return OpenAIModel("tiny", base_url=server.url)


async def test_scores_are_the_servers_own(model):
    scores = await model.score([ScoreItem(prompt=TEXT, continuation=" light and rain")])
    assert scores.values == (pytest.approx(tiny.score(TEXT, " light and rain", end=False)),)
    assert scores.tokens == (3,)


async def test_a_token_over_the_boundary_counts_wholly(model):
    scores = await model.score([ScoreItem(prompt="The li", continuation="ght and")])
    assert scores.values == (pytest.approx(tiny.score("The", " light and", end=False)),)
    assert scores.tokens == (2,)


async def test_offsets_shifted_by_a_token_before_the_text_find_the_same_continuation():
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        tokens = ["<s>", *tiny.tokens_of(request.body.get("prompt", ""))]
        logprobs = {
            "tokens": tokens,
            "token_logprobs": [None, *[-1.0] * (len(tokens) - 1)],
            "text_offset": [len("".join(tokens[:place])) for place in range(len(tokens))],
        }
        choice = {"text": request.body.get("prompt"), "logprobs": logprobs}
        reply = {"choices": [choice], "usage": {"prompt_tokens": len(tokens)}}
        known = request.path == "/v1/completions"
        writer.write(response(reply if known else {}, status=200 if known else 404))

    async with serving(answer) as server:
        model = OpenAIModel("tiny", base_url=server.url)
        scores = await model.score([ScoreItem(prompt="one two", continuation=" three four")])
        await model.aclose()
    assert (scores.values, scores.tokens) == ((-2.0,), (2,))


async def test_where_text_alone_can_be_scored_chats_and_ends_are_not_supported():
    async with serving(VllmServer(tokenizes=False).answer) as server:
        model = OpenAIModel("tiny", base_url=server.url)
        for item in (
            ScoreItem(prompt=CHAT, continuation="Paris"),
            ScoreItem(prompt=TEXT, continuation=" Rome", end=True),
        ):
            with pytest.raises(NotSupportedError, match="scores plain text alone"):
                await model.score([item])
        await model.aclose()


async def test_a_server_that_cannot_score_is_asked_once():
    async with serving(VllmServer(echoes=False, prompt_logprobs=False).answer) as server:
        model = OpenAIModel("tiny", base_url=server.url)
        for _ in range(3):
            with pytest.raises(NotSupportedError, match="does not report the log probabilities"):
                await model.score([ScoreItem(prompt=TEXT, continuation=" Rome")])
        await model.aclose()
        assert len(server.asked("/v1/completions")) == 3


async def test_how_a_server_takes_choices_is_found_out_once():
    async with serving(VllmServer(choices_field="guided_choice").answer) as server:
        model = OpenAIModel("tiny", base_url=server.url)
        for _ in range(3):
            await model.generate(CHAT, shape=CHOICES, config=SHORT)
        await model.aclose()
        asked = [set(request.body) for request in server.asked("/v1/chat/completions")]
    assert ["structured_outputs" in fields for fields in asked] == [True] + [False] * 4
    assert ["guided_choice" in fields for fields in asked] == [False] + [True] * 4


async def test_concurrent_calls_find_out_once_and_tokenize_prompts_side_by_side_and_once():
    vllm, at_once, most = VllmServer(), 0, 0
    prompts = [f"{number} {TEXT}" for number in range(6)]
    items = [ScoreItem(prompt=prompt, continuation=" Rome", end=True) for prompt in prompts]

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once, most
        is_prompt = request.path == "/tokenize" and request.body.get("prompt") in prompts
        at_once += is_prompt
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= is_prompt
        await vllm.answer(request, writer)

    async with serving(answer) as server:
        model = OpenAIModel("tiny", base_url=server.url)
        first = await asyncio.gather(*(model.score([one]) for one in items[:2]))
        scores = await model.score(items)
        await asyncio.gather(*(model.generate(CHAT, shape=CHOICES, config=SHORT) for _ in range(3)))
        await model.aclose()
        tokenized = [one.body.get("prompt") for one in server.asked("/tokenize")]
        probes = [one for one in server.asked("/v1/completions") if one.body["prompt"] == "1 2 3"]
        asked = len(server.asked("/apply-template")), len(probes), tokenized.count(None)
        chats = len(server.asked("/v1/chat/completions"))
    assert tuple(one.values[0] for one in first) == scores.values[:2]
    # The interface, the form of echoes, the end of a turn (two renderings), and the way of choices: each once.
    assert (*asked, chats) == (1, 1, 2, 3 + 1)
    assert [tokenized.count(prompt) for prompt in prompts] == [1] * 6
    assert most == 4


async def test_a_wrong_key_says_nothing_about_what_the_server_can_do():
    whole, denied = VllmServer(), True

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if denied:
            writer.write(response({"error": "no key"}, status=401))
        else:
            await whole.answer(request, writer)

    async with serving(answer) as server:
        model = OpenAIModel("tiny", base_url=server.url)
        item = ScoreItem(prompt=TEXT, continuation=" Rome")
        for attempt in (model.generate(CHAT, shape=CHOICES, config=SHORT), model.score([item])):
            with pytest.raises(ModelError, match="environment variable OPENAI_API_KEY"):
                await attempt
        denied = False
        assert (await model.score([item])).tokens == (1,)
        assert (await model.generate(CHAT, shape=CHOICES, config=SHORT)).text in CHOICES
        await model.aclose()


def chat_answers(*texts: str) -> Any:
    """Returns a server that knows chats and nothing else and says these texts."""
    left = list(texts)

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        extra = set(request.body) - {"model", "messages", "max_tokens", "temperature", "seed"}
        if request.path != "/v1/chat/completions" or extra:
            writer.write(response({"error": f"unknown: {extra}"}, status=400))
            return
        message = {"role": "assistant", "content": left.pop(0)}
        choice = {"message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5}
        writer.write(response({"choices": [choice], "usage": usage}))

    return answer


VALID = '{"city": "Rome", "days": 3, "unit": "metric"}'


async def test_a_server_that_wants_its_own_temperature_gets_it_from_then_on():
    said = chat_answers("mild", "warm")

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if "temperature" in (request.body or {}):
            reason = "'temperature' does not support 0.0 with this model"
            writer.write(response({"error": {"message": reason}}, status=400))
        else:
            await said(request, writer)

    async with serving(answer) as server:
        model = OpenAIModel("reasoning", base_url=server.url)
        texts = [(await model.generate(CHAT, config=SHORT)).text for _ in range(2)]
        await model.aclose()
        asked = ["temperature" in one.body for one in server.asked("/v1/chat/completions")]
    assert (texts, asked) == (["mild", "warm"], [True, False, False])


async def test_a_probe_that_comes_back_without_text_means_not_this_way():
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        probed = set(request.body) - {"model", "messages", "max_tokens", "temperature", "seed"}
        message = {"role": "assistant", "content": None if probed else VALID}
        choice = {"message": message, "finish_reason": "length" if probed else "stop"}
        known = request.path == "/v1/chat/completions"
        writer.write(response({"choices": [choice]}, status=200 if known else 404))

    async with serving(answer) as server:
        model = OpenAIModel("reasoning", base_url=server.url)
        output = await model.generate(CHAT, shape=SCHEMA, config=LONG)
        await model.aclose()
    assert output == ModelOutput(text=VALID, stop="end", usage=Usage(model_calls=1))


async def test_without_structured_outputs_the_schema_goes_into_the_prompt():
    async with serving(chat_answers(f"```json\n{VALID}\n```")) as server:
        model = OpenAIModel("hosted", base_url=server.url)
        output = await model.generate(CHAT, shape=SCHEMA, config=LONG)
        await model.aclose()
        last = server.asked("/v1/chat/completions")[-1].body["messages"]
    usage = Usage(computed_tokens=10, generated_tokens=5, model_calls=1)
    assert output == ModelOutput(text=VALID, stop="end", usage=usage)
    assert [message["role"] for message in last] == ["system", "user", "user"]
    assert '"maxLength": 12' in last[-1]["content"]


async def test_text_without_its_shape_is_asked_for_again_with_the_reason():
    async with serving(chat_answers('{"city": 7}', VALID)) as server:
        model = OpenAIModel("hosted", base_url=server.url)
        output = await model.generate(CHAT, shape=SCHEMA, config=LONG)
        await model.aclose()
        last = server.asked("/v1/chat/completions")[-1].body["messages"][-1]["content"]
    usage = Usage(computed_tokens=20, generated_tokens=10, model_calls=1)
    assert output == ModelOutput(text=VALID, stop="end", usage=usage)
    assert "An earlier answer was refused: $" in last


async def test_text_that_never_has_its_shape_is_an_error():
    async with serving(chat_answers("mild", "'Lukewarm'")) as server:
        model = OpenAIModel("hosted", base_url=server.url)
        with pytest.raises(ModelError, match='"Lukewarm" is none of'):
            await model.generate(CHAT, shape=CHOICES, config=LONG)
        await model.aclose()


async def test_a_choice_in_quotes_is_still_that_choice():
    async with serving(chat_answers('"warm".')) as server:
        model = OpenAIModel("hosted", base_url=server.url)
        output = await model.generate(CHAT, shape=CHOICES, config=LONG)
        await model.aclose()
    assert output.text == "warm"


async def test_a_server_that_cannot_go_on_from_a_begun_turn_is_asked_without_the_fields():
    async with serving(chat_answers("The capital of France is Paris.", "Paris!")) as server:
        model = OpenAIModel("hosted", base_url=server.url)
        outputs = [await model.generate(BEGUN, config=LONG) for _ in range(2)]
        await model.aclose()
        asked = server.asked("/v1/chat/completions")
    assert [output.text for output in outputs] == [" Paris.", "Paris!"]
    assert ["continue_final_message" in request.body for request in asked] == [True, False, False]


async def test_the_field_for_the_length_follows_the_servers_wish():
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if "max_tokens" in request.body:
            wish = "Unsupported parameter: use 'max_completion_tokens' instead."
            writer.write(response({"error": {"message": wish}}, status=400))
        else:
            writer.write(response({"choices": [{"message": {"content": "hi"}}]}))

    async with serving(answer) as server:
        model = OpenAIModel("hosted", base_url=server.url)
        outputs = [await model.generate(CHAT, config=SHORT) for _ in range(2)]
        await model.aclose()
        asked = server.asked("/v1/chat/completions")
    assert outputs == [ModelOutput(text="hi", stop="end", usage=Usage(model_calls=1))] * 2
    assert ["max_tokens" in request.body for request in asked] == [True, False, False]


async def test_tool_calls_and_their_results_are_sent_in_the_servers_form():
    chat = (
        Message(role="user", content="How warm is it?"),
        Message(
            role="assistant",
            content="",
            tool_calls=(ToolCall(id="c1", name="weather", arguments={"city": "Zürich"}),),
        ),
        Message(role="tool", content="21", tool_call_id="c1"),
    )
    async with serving(chat_answers("Warm.")) as server:
        model = OpenAIModel("hosted", base_url=server.url)
        await model.generate(chat, config=SHORT)
        await model.aclose()
        sent = server.asked("/v1/chat/completions")[-1].body["messages"]
    function = {"name": "weather", "arguments": '{"city": "Zürich"}'}
    assert sent == [
        {"role": "user", "content": "How warm is it?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "21", "tool_call_id": "c1"},
    ]


async def test_more_stop_strings_than_servers_take_still_cut():
    stops = ("@1", "@2", "@3", "@4", " city")
    async with serving(VllmServer().answer) as server:
        model = OpenAIModel("tiny", base_url=server.url)
        free = await model.generate(TEXT, config=GenerateConfig(max_tokens=40))
        cut = await model.generate(TEXT, config=GenerateConfig(max_tokens=40, stop=stops))
        await model.aclose()
    assert " city" in free.text
    assert (cut.text, cut.stop) == (free.text[: free.text.index(" city")], "stop_string")


async def test_the_server_says_whether_a_stop_string_ended_the_text():
    reply: dict[str, Any] = {"text": "done", "finish_reason": "stop", "stop_reason": None}

    async def answer(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(response({"choices": [reply]}))

    async with serving(answer) as server:
        model = OpenAIModel("tiny", base_url=server.url)
        config = GenerateConfig(stop=("###",))
        told = await model.generate(TEXT, config=config)
        del reply["stop_reason"]
        untold = await model.generate(TEXT, config=config)
        await model.aclose()
    assert (told.stop, untold.stop) == ("end", "stop_string")


def test_one_model_serves_many_event_loops_and_leaves_nothing_open_of_those_that_ended():
    async def ask(model: OpenAIModel | None, port: int) -> tuple[OpenAIModel, int]:
        async with serving(VllmServer().answer, port=port) as server:
            model = model or OpenAIModel("tiny", base_url=server.url)
            assert (await model.generate(TEXT, config=SHORT)).text
            return model, server.port

    def held() -> tuple[int, int]:
        gc.collect()
        clients = [one for one in gc.get_objects() if type(one) is httpx.AsyncClient]
        return len(list(Path("/dev/fd").iterdir())), len(clients)

    model, port = asyncio.run(ask(None, 0))
    after_one = held()
    for _ in range(30):
        asyncio.run(ask(model, port))
    assert held() == after_one


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("https://host.example/openai/v3", "https://host.example/openai/v3"),
    ],
)
async def test_a_name_loads_the_model_that_has_it(url, base):
    model = await load_model(f"openai:org/small@{url}")
    assert (model.name, repr(model)) == (
        f"openai:org/small@{base}",
        f"OpenAIModel('org/small', base_url='{base}')",
    )
    await model.aclose()


async def test_a_local_model_without_its_packages_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "toolverifier.models.hf", None)
    with pytest.raises(MissingModelError, match=r"pip install 'toolverifier\[hf\]'"):
        await load_model("hf:smollm2-135m#nf4")


@pytest.mark.parametrize("name", ["", "gpt", "openai:", "openai:model", "openai:@http://x", "hf:"])
async def test_a_name_of_no_kind_is_refused_with_the_kinds_that_there_are(name):
    with pytest.raises(UsageError, match="write hf:NAME or openai:MODEL@URL"):
        await load_model(name)


@pytest.mark.parametrize(
    "url",
    ["localhost:8000", "ftp://host", "http://", "http://a:b@host", "http://h/?key=1", "http://h:x"],
)
async def test_a_base_url_that_is_none_or_holds_a_secret_is_refused(url):
    with pytest.raises(UsageError, match="base_url"):
        OpenAIModel("m", base_url=url)

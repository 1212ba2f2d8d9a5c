"""`OpenAIModel` before a server that is not ours: llama.cpp's, with real weights.

It is asked twice: as itself, and through a gateway that shows nothing but the OpenAI-compatible part.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from toolverifier.core import Message, MissingModelError, NotSupportedError
from toolverifier.models import GenerateConfig, OpenAIModel, ScoreItem
from toolverifier.models.catalog import ensure

from .contract import *  # noqa: F403
from .contract import CHAT, TEXT
from .gateway import gateway_before

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def llama_url() -> Iterator[str]:
    xllamacpp = pytest.importorskip("xllamacpp")
    try:
        path = asyncio.run(ensure("smollm2-135m"))
    except MissingModelError as error:
        pytest.skip(f"no weights: {error}")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = 4096
    parameters.n_parallel = 2
    parameters.n_gpu_layers = 0
    parameters.cpuparams.n_threads = 2
    parameters.cpuparams_batch.n_threads = 2
    parameters.warmup = False
    parameters.verbosity = 0
    server = xllamacpp.Server(parameters)
    yield server.listening_address
    del server


@pytest.fixture(scope="module")
def gateway_url(llama_url: str) -> Iterator[str]:
    with gateway_before(llama_url) as url:
        yield url


@pytest.fixture(params=["itself", "gateway"])
def url(request: pytest.FixtureRequest, llama_url: str, gateway_url: str) -> str:
    return llama_url if request.param == "itself" else gateway_url


@pytest.fixture
async def model(url: str) -> AsyncIterator[OpenAIModel]:
    model = OpenAIModel("smollm2", base_url=url)
    yield model
    await model.aclose()


@pytest.fixture
def spare_model(url: str) -> OpenAIModel:
    return OpenAIModel("smollm2", base_url=url)


async def test_scores_are_the_log_probabilities_that_the_server_itself_shows(llama_url):
    model = OpenAIModel("smollm2", base_url=llama_url)
    shown = await model.generate(TEXT, config=GenerateConfig(max_tokens=1, top_logprobs=8))
    words = [word for word in shown.first_token if word.strip().isalpha()]
    scores = await model.score([ScoreItem(prompt=TEXT, continuation=word) for word in words])
    await model.aclose()
    assert len(words) >= 2
    assert scores.tokens == (1,) * len(words)
    assert list(scores.values) == pytest.approx(
        [shown.first_token[word] for word in words], abs=0.05
    )


async def test_a_prompt_is_read_once_for_many_scores(llama_url):
    model = OpenAIModel("smollm2", base_url=llama_url, max_connections=1)
    prompt = (
        " ".join(f"Item {number} costs {number * 3}." for number in range(30)) + " Item 7 costs"
    )
    scores = await model.score(
        [ScoreItem(prompt=prompt, continuation=f" {n}") for n in range(20, 26)]
    )
    await model.aclose()
    assert (
        scores.usage.computed_tokens
        < 1.2 * (scores.usage.computed_tokens + scores.usage.reused_tokens) / 6
    )


async def test_a_gateway_that_hides_log_probabilities_is_found_out_once(gateway_url):
    model = OpenAIModel("smollm2", base_url=gateway_url)
    with pytest.raises(
        NotSupportedError, match="does not report the log probabilities of a prompt"
    ):
        await model.score([ScoreItem(prompt=TEXT, continuation=" Rome")])
    await model.aclose()


async def test_a_begun_turn_is_gone_on_from_and_not_repeated(model):
    begun = (*CHAT, Message(role="assistant", content="The capital of"))
    output = await model.generate(begun, config=GenerateConfig(max_tokens=8))
    assert output.text.startswith(" France is Paris")


async def test_a_shape_holds_for_what_follows_a_begun_turn(model):
    begun = (*CHAT, Message(role="assistant", content="The answer is: "))
    output = await model.generate(
        begun, shape=("Paris", "Rome"), config=GenerateConfig(max_tokens=8)
    )
    assert output.text in ("Paris", "Rome")

"""`HFModel` keeps the contract of all backends, with real weights."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from toolverifier.core import MissingModelError
from toolverifier.models import GenerateConfig, hf_generate
from toolverifier.models.hf import HFModel
from toolverifier.models.hf_forward import PackedModel

from .contract import *  # noqa: F403

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]


def loaded() -> HFModel:
    try:
        return asyncio.run(HFModel.load("smollm2-135m"))
    except MissingModelError as error:
        pytest.skip(f"no weights: {error}")


@pytest.fixture(scope="module")
def model():
    model = loaded()
    yield model
    asyncio.run(model.aclose())


@pytest.fixture
async def spare_model():
    return await asyncio.to_thread(loaded)


async def test_a_text_that_copies_takes_fewer_passes_and_is_the_same(model, monkeypatch):
    passes = 0
    forward = PackedModel.forward

    def counted(self, runs):
        nonlocal passes
        passes += 1
        return forward(self, runs)

    monkeypatch.setattr(PackedModel, "forward", counted)
    prompt = "north, east, south, west, " * 6
    outputs = []
    for guess in (0, hf_generate.MAX_GUESS):
        monkeypatch.setattr(hf_generate, "MAX_GUESS", guess)
        before = passes
        output = await model.generate(prompt, config=GenerateConfig(max_tokens=40))
        outputs.append((output.text, output.usage.generated_tokens, passes - before))

    (text, generated, slow), (guessed_text, guessed_generated, fast) = outputs
    assert (guessed_text, guessed_generated) == (text, generated)
    assert fast < slow / 2

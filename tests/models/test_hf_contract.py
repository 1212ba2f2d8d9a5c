"""`HFModel` keeps the contract of all backends, with real weights."""

from __future__ import annotations

import asyncio

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from toolverifier.core import MissingModelError  # noqa: E402
from toolverifier.models import GenerateConfig  # noqa: E402
from toolverifier.models.hf import HFModel  # noqa: E402
from toolverifier.models.hf_forward import PackedModel  # noqa: E402

from .contract import *  # noqa: E402, F403

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


async def test_a_text_that_repeats_itself_takes_fewer_passes_than_tokens(model, monkeypatch):
    passes = 0
    forward = PackedModel.forward

    def counted(self, runs):
        nonlocal passes
        passes += sum(len(run.tokens) for run in runs) > 1
        return forward(self, runs)

    monkeypatch.setattr(PackedModel, "forward", counted)
    prompt = "north, east, south, west, " * 6
    output = await model.generate(prompt, config=GenerateConfig(max_tokens=40))

    assert output.usage.generated_tokens == 40
    assert passes < 30

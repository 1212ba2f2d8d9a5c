"""`HFModel` keeps the contract of all backends, with real weights."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from toolverifier.core import MissingModelError
from toolverifier.models.hf import HFModel

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

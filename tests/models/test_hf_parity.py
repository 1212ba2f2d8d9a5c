"""With real weights in float32, where rounding hides nothing, scores are those of plain forward passes."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from toolverifier.core import Message, MissingModelError  # noqa: E402
from toolverifier.models import ScoreItem  # noqa: E402
from toolverifier.models.hf import HFModel  # noqa: E402
from toolverifier.models.hf_loading import load_weights  # noqa: E402

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]


def plain_scores(network, tokenizer, items: list[ScoreItem]) -> list[float]:
    """One float32 pass of transformers over each whole item."""
    values = []
    for one in items:
        turns = [{"role": message.role, "content": message.content} for message in one.prompt]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        before = tokenizer.encode(text, add_special_tokens=False)
        after = [*tokenizer.encode(one.continuation), tokenizer.eos_token_id]
        with torch.inference_mode():
            logits = network(torch.tensor([before + after])).logits[0, len(before) - 1 : -1]
        chosen = logits.log_softmax(-1).gather(1, torch.tensor(after)[:, None])
        values.append(chosen.sum().item())
    return values


async def test_real_weights_in_float32_score_as_in_plain_passes_cached_or_not():
    try:
        network, tokenizer = await load_weights("smollm2-135m", quantization=None, device="cpu")
    except MissingModelError as error:
        pytest.skip(f"no weights: {error}")
    network.float()
    users = ["What will the weather be like in Paris?", "What will it cost?", "Hello\n\nthere"]
    items = [
        ScoreItem(
            prompt=(
                Message(role="system", content="You answer in few words."),
                Message(role="user", content=user),
            ),
            continuation=continuation,
            end=True,
        )
        for user in users
        for continuation in ("It will rain.", "It will snow in the evening.", "No.")
    ]
    expected = plain_scores(network, tokenizer, items)
    model = HFModel(network, tokenizer, name="hf:float32")
    for _ in range(2):
        scores = await model.score(items)
        assert list(scores.values) == pytest.approx(expected, abs=1e-3)
    assert scores.usage.computed_tokens < scores.usage.reused_tokens
    await model.aclose()

"""A wrapper that remembers scores, for items that come again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from ..core import Usage
from .base import GenerateConfig, Model, ModelOutput, Prompt, ScoreItem, Scores, Shape


class MemoModel:
    """Scores each item once and remembers it; the least recently used go first.

    Made for priors: scores under an empty request, which depend on the tool library alone. What is remembered costs
    no tokens.
    """

    def __init__(self, model: Model, *, max_items: int = 20_000) -> None:
        self._model = model
        self._max_items = max_items
        self._known: OrderedDict[ScoreItem, tuple[float, int]] = OrderedDict()

    @property
    def name(self) -> str:
        """The wrapped model's name."""
        return self._model.name

    async def generate(
        self, prompt: Prompt, *, shape: Shape = None, config: GenerateConfig = GenerateConfig()
    ) -> ModelOutput:
        """Passes on; generated text is not remembered."""
        return await self._model.generate(prompt, shape=shape, config=config)

    async def score(self, items: Sequence[ScoreItem]) -> Scores:
        """Returns remembered scores, and asks the wrapped model for the others in one call."""
        known = [self._recall(item) for item in items]
        pairs = zip(items, known, strict=True)
        missing = list(dict.fromkeys(item for item, found in pairs if found is None))
        new: dict[ScoreItem, tuple[float, int]] = {}
        usage = Usage()
        if missing:
            scores = await self._model.score(missing)
            usage = scores.usage
            new |= zip(missing, zip(scores.values, scores.tokens, strict=True), strict=True)
            self._known |= new
        while len(self._known) > self._max_items:
            self._known.popitem(last=False)
        scored = [found or new[item] for item, found in zip(items, known, strict=True)]
        return Scores(
            values=tuple(value for value, _ in scored),
            tokens=tuple(count for _, count in scored),
            usage=usage,
        )

    async def aclose(self) -> None:
        """Closes the wrapped model."""
        await self._model.aclose()

    def _recall(self, item: ScoreItem) -> tuple[float, int] | None:
        # An item holds whole prompts: hashing it is what costs here, so each is looked up once and marked once.
        found = self._known.get(item)
        if found is not None:
            self._known.move_to_end(item)
        return found

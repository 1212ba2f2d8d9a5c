"""Token sequences: what they have in common, and those of the prompts that a server tokenized lately."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

from ..core import gather_bounded
from .base import Prompt

Tokens = TypeVar("Tokens")


def common_length(left: Sequence[int], right: Sequence[int]) -> int:
    """Returns how many tokens two sequences have in common at their beginnings."""
    if left == right[: len(left)]:
        return len(left)
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))


class TokenizedPrompts(Generic[Tokens]):
    """Asks for each prompt's tokens once and remembers them; the least recently used go first."""

    def __init__(
        self,
        tokenize: Callable[[Prompt], Awaitable[Tokens]],
        *,
        max_connections: int,
        max_items: int = 256,
    ) -> None:
        self._tokenize = tokenize
        self._max_connections = max_connections
        self._max_items = max_items
        self._known: OrderedDict[Prompt, Tokens] = OrderedDict()

    async def of(self, prompts: Iterable[Prompt]) -> dict[Prompt, Tokens]:
        """Returns the tokens by prompt; those that are not known are asked for side by side."""
        wanted = list(dict.fromkeys(prompts))
        found = {prompt: self._known[prompt] for prompt in wanted if prompt in self._known}
        missing = [prompt for prompt in wanted if prompt not in found]
        new = await gather_bounded(missing, self._tokenize, limit=self._max_connections)
        found |= zip(missing, new, strict=True)
        for prompt, tokens in found.items():
            self._known[prompt] = tokens
            self._known.move_to_end(prompt)
        while len(self._known) > self._max_items:
            self._known.popitem(last=False)
        return found

"""Token sequences that begin alike, computed as one tree: every distinct token once, what is cached not at all."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from .hf_forward import PackedModel, Run
from .prefix_cache import PrefixCache
from .tokens import common_length

RUN_TOKENS = 512
"""New tokens of one run; attention within a run costs the square of it."""
WAVE_TOKENS = 2048
"""New tokens of one forward pass, give or take a run; bounds its memory."""


@dataclass(kw_only=True)
class TokenPath:
    """A sequence that is wanted, and what became of it."""

    tokens: tuple[int, ...]
    """Not empty."""
    read_from: int
    """First position whose hidden state is wanted; what is before it may come from the cache."""
    keep: int
    """How many leading tokens the cache shall hold afterwards."""
    computed: int = 0
    """Tokens that were put through the model for this path; the others were reused."""
    rows: list[int] = field(default_factory=list)
    """Where the hidden states from `read_from` on are in the returned tensor."""
    past: tuple[torch.Tensor, ...] = ()
    """Keys and values of all tokens."""


@dataclass(frozen=True, kw_only=True)
class _Branch:
    """Paths, sorted, that have their first `depth` tokens in common; those are computed already."""

    paths: list[TokenPath]
    depth: int
    past: tuple[torch.Tensor, ...]

    def common(self) -> int:
        """Returns how many more tokens all paths share."""
        first, last = self.paths[0].tokens, self.paths[-1].tokens
        return common_length(first[self.depth :], last[self.depth :])

    def size(self) -> int:
        """Returns the number of distinct tokens to compute."""
        tokens = [path.tokens[self.depth :] for path in self.paths]
        shared = sum(common_length(one, other) for one, other in itertools.pairwise(tokens))
        return sum(map(len, tokens)) - shared

    def split(self) -> list[_Branch]:
        """Returns branches of one run each: at most `RUN_TOKENS` in all, or with tokens that all paths share."""
        if self.common() or self.size() <= RUN_TOKENS:
            return [self]
        branches: list[_Branch] = []
        room = 0
        for _, group in itertools.groupby(self.paths, key=lambda path: path.tokens[self.depth]):
            twig = _Branch(paths=list(group), depth=self.depth, past=self.past)
            size = twig.size()
            if size <= room:
                branches[-1].paths.extend(twig.paths)
                room -= size
            else:
                branches.append(twig)
                room = RUN_TOKENS - size
        return branches


class _Layout:
    """A branch's next run: the whole tree where it is small, else the stem that all its paths share."""

    def __init__(self, branch: _Branch) -> None:
        whole = branch.size() <= RUN_TOKENS
        self.branch = branch
        self.end = None if whole else branch.depth + min(branch.common(), RUN_TOKENS)
        self.slots: list[list[int]] = []
        """For each path, where its tokens are in the run."""
        tokens: list[int] = []
        positions: list[int] = []
        last: tuple[int, ...] = ()
        for path in branch.paths:
            part = path.tokens[branch.depth : self.end]
            shared = common_length(last, part)
            own = range(len(tokens), len(tokens) + len(part) - shared)
            self.slots.append([*(self.slots[-1][:shared] if shared else ()), *own])
            tokens += part[shared:]
            positions += range(branch.depth + shared, branch.depth + len(part))
            path.computed += len(own)
            last = part
        self.run = Run(tokens=tokens, positions=positions, past=branch.past, sees=self._sees())

    def _sees(self) -> torch.Tensor | None:
        count = self.slots[-1][-1] + 1
        if len(self.slots[-1]) == count:
            return None
        sees = torch.zeros(count, count, dtype=torch.bool)
        for slots in self.slots:
            index = torch.tensor(slots)
            sees[index[:, None], index] = torch.ones(
                len(slots), len(slots), dtype=torch.bool
            ).tril()
        return sees

    def finish(self, kv: torch.Tensor, cache: PrefixCache) -> _Branch | None:
        """Keeps the run's keys and values, and returns what is left of the branch."""
        branch = self.branch
        left = []
        kept: set[tuple[int, ...]] = set()
        for path, slots in zip(branch.paths, self.slots, strict=True):
            own = kv if len(slots) == kv.shape[-2] else kv[..., slots, :]
            beginning = path.tokens[: min(path.keep, branch.depth + len(slots))]
            if len(beginning) > branch.depth and beginning not in kept:
                kept.add(beginning)
                cache.insert(beginning, own[..., : len(beginning) - branch.depth, :])
            if branch.depth + len(slots) < len(path.tokens):
                left.append(path)
            else:
                path.past = (*branch.past, own)
        if not left:
            return None
        assert self.end is not None, "only a stem leaves something"
        return _Branch(paths=left, depth=self.end, past=(*branch.past, kv))


def compute(model: PackedModel, cache: PrefixCache, paths: Sequence[TokenPath]) -> torch.Tensor:
    """Computes the paths, fills in their results, and returns the wanted hidden states ``[rows, width]``."""
    waiting = deque(branch for root in _roots(cache, paths) for branch in root.split())
    hidden: list[torch.Tensor] = []
    rows = 0
    while waiting:
        layouts: list[_Layout] = []
        while waiting and sum(len(layout.run.tokens) for layout in layouts) < WAVE_TOKENS:
            layouts.append(_Layout(waiting.popleft()))
        states, kv = model.forward([layout.run for layout in layouts])
        start = 0
        for layout in layouts:
            end = start + len(layout.run.tokens)
            wanted = _wanted(layout, rows)
            hidden.append(states[[start + slot for slot in wanted]])
            rows += len(wanted)
            if rest := layout.finish(kv[..., start:end, :], cache):
                waiting.extend(rest.split())
            start = end
    return torch.cat(hidden) if hidden else torch.empty(0)


def _wanted(layout: _Layout, first_row: int) -> list[int]:
    """Returns the slots of a run whose hidden states are wanted, and tells the paths their rows."""
    rows: dict[int, int] = {}
    for path, slots in zip(layout.branch.paths, layout.slots, strict=True):
        for slot in slots[max(path.read_from - layout.branch.depth, 0) :]:
            path.rows.append(rows.setdefault(slot, first_row + len(rows)))
    return list(rows)


def _roots(cache: PrefixCache, paths: Sequence[TokenPath]) -> list[_Branch]:
    """Returns the paths, sorted and grouped by the cached prefixes that they hang on.

    A path of which nothing is left to compute gets its keys and values at once.
    """
    branches: dict[tuple[int, ...], _Branch] = {}
    known: dict[tuple[int, ...], _Branch] = {}
    for path in sorted(paths, key=lambda path: path.tokens):
        beginning = path.tokens[: path.read_from]
        if beginning not in known:
            prefix = cache.lookup(beginning)
            known[beginning] = branches.setdefault(
                beginning[: prefix.length],
                _Branch(paths=[], depth=prefix.length, past=prefix.spans),
            )
        branch = known[beginning]
        if branch.depth < len(path.tokens):
            branch.paths.append(path)
        else:
            path.past = branch.past
    return [branch for branch in branches.values() if branch.paths]

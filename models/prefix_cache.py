"""Keys and values of token prefixes that were computed once, in a radix tree.

Sequences that begin alike share the nodes of what they have in common, so a library's instructions are held once however
many prompts begin with them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import torch

from .tokens import common_length


class CachedPrefix(NamedTuple):
    """The longest known beginning of a sequence."""

    length: int
    """Number of tokens."""
    spans: tuple[torch.Tensor, ...]
    """Their keys and values, in order: each ``[layers, 2, kv_heads, span, head_dim]``, keys before values."""


class _Node:
    __slots__ = ("children", "kv", "parent", "tokens")

    def __init__(self, tokens: tuple[int, ...], kv: torch.Tensor, parent: _Node | None) -> None:
        self.tokens = tokens
        self.kv = kv
        self.parent = parent
        self.children: dict[int, _Node] = {}


class PrefixCache:
    """A radix tree over token ids, bounded in bytes; the least recently used leaves go first.

    What a lookup returned stays valid after an eviction: the cache drops its reference and no more. Not safe for use from
    several threads at once.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        """Bytes of all keys and values that are held."""
        self._root = _Node((), torch.empty(0), None)
        # Least recently used first. A node is touched after its children, so the first is always a leaf.
        self._order: OrderedDict[_Node, None] = OrderedDict()

    def __len__(self) -> int:
        """Number of tokens that are held."""
        return sum(len(node.tokens) for node in self._order)

    def lookup(self, tokens: Sequence[int]) -> CachedPrefix:
        """Returns the longest prefix of `tokens` that is held, exact to the token."""
        node, spans, length = self._root, [], 0
        while length < len(tokens) and (child := node.children.get(tokens[length])):
            node = child
            shared = common_length(node.tokens, tokens[length:])
            spans.append(node.kv[..., :shared, :])
            length += shared
            if shared < len(node.tokens):
                break
        self._touch(node)
        return CachedPrefix(length, tuple(spans))

    def insert(self, tokens: Sequence[int], kv: torch.Tensor) -> None:
        """Holds `tokens`, whose last ones have the keys and values `kv` (copied where they are new).

        Where the tokens before those are not held (any more), nothing is inserted.
        """
        first = len(tokens) - kv.shape[-2]
        node, length = self._root, 0
        while length < len(tokens) and (child := node.children.get(tokens[length])):
            shared = common_length(child.tokens, tokens[length:])
            node = child if shared == len(child.tokens) else self._split(child, shared)
            length += shared
        if first <= length < len(tokens):
            new = _Node(tuple(tokens[length:]), kv[..., length - first :, :].clone(), node)
            node.children[new.tokens[0]] = new
            self.bytes += new.kv.nbytes
            node = new
        self._touch(node)
        self._evict()

    def _split(self, node: _Node, length: int) -> _Node:
        """Puts a new parent with the node's first `length` tokens over the node, and returns it."""
        parent = node.parent
        assert parent is not None, "the root is never split"
        # Copies, because a view of half a tensor would keep the whole alive after the other half's eviction.
        upper = _Node(node.tokens[:length], node.kv[..., :length, :].clone(), parent)
        node.tokens, node.kv = node.tokens[length:], node.kv[..., length:, :].clone()
        parent.children[upper.tokens[0]] = upper
        upper.children[node.tokens[0]] = node
        node.parent = upper
        return upper

    def _touch(self, node: _Node | None) -> None:
        while node is not None and node is not self._root:
            self._order[node] = None
            self._order.move_to_end(node)
            node = node.parent

    def _evict(self) -> None:
        while self.bytes > self.max_bytes:
            node, _ = self._order.popitem(last=False)
            assert node.parent is not None, "the root is never evicted"
            assert not node.children, "only leaves are evicted"
            del node.parent.children[node.tokens[0]]
            self.bytes -= node.kv.nbytes

"""Shapes for generated text: grammars that say which tokens may come next, and which must."""

from __future__ import annotations

import functools
from typing import Any, Protocol

import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from transformers import PreTrainedTokenizerFast

from ..core import NotSupportedError
from .base import Shape
from .hf_prompt import PromptEncoder
from .tokens import common_length

_COMPACT: Any = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}
"""JSON is written in one way only, so that all that stands between values is forced."""


class Constraint(Protocol):
    """How far a text has come in its shape."""

    @property
    def complete(self) -> bool:
        """Whether nothing can follow."""
        ...

    def allowed(self, vocabulary: int) -> torch.Tensor:
        """Returns which tokens may come next: bool ``[vocabulary]``."""
        ...

    def take(self, token: int) -> None:
        """Goes on by an allowed token."""
        ...

    def forced(self) -> list[int]:
        """Returns the tokens that must come next, and goes on by them."""
        ...


class _Choices:
    """One of several texts, each as the tokens that the tokenizer gives it.

    A grammar would also allow every other way to cut a text into tokens, and a model that is pressed into a choice likes
    its first letter better than its first word.
    """

    def __init__(self, choices: set[tuple[int, ...]], end_token: int) -> None:
        self._left = choices
        """What can still follow."""
        self._end_token = end_token

    @property
    def complete(self) -> bool:
        return self._left == {()}

    def allowed(self, vocabulary: int) -> torch.Tensor:
        allowed = torch.zeros(vocabulary, dtype=torch.bool)
        allowed[[tokens[0] if tokens else self._end_token for tokens in self._left]] = True
        return allowed

    def take(self, token: int) -> None:
        self._left = {tokens[1:] for tokens in self._left if tokens[:1] == (token,)}

    def forced(self) -> list[int]:
        # What the first and the last share in sorted order, all share.
        forced = list(min(self._left)[: common_length(min(self._left), max(self._left))])
        self._left = {tokens[len(forced) :] for tokens in self._left}
        return forced


class _Grammar:
    """Text that a grammar describes."""

    def __init__(self, matcher: LLMatcher, control_tokens: frozenset[int]) -> None:
        self._matcher = matcher
        self._control_tokens = control_tokens

    @property
    def complete(self) -> bool:
        return self._matcher.is_stopped()

    def allowed(self, vocabulary: int) -> torch.Tensor:
        packed = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        bits = packed[:, None].bitwise_right_shift(torch.arange(8, dtype=torch.uint8)) & 1
        return bits.flatten()[:vocabulary].bool()

    def take(self, token: int) -> None:
        self._matcher.consume_token(token)
        self._check()

    def forced(self) -> list[int]:
        if self.complete:
            return []
        tokens = self._matcher.compute_ff_tokens()
        # Where a literal spells a control token, its text must be decoded in plain tokens.
        if not self._control_tokens.isdisjoint(tokens):
            return []
        self._matcher.consume_tokens(tokens)
        self._check()
        return tokens

    def _check(self) -> None:
        if self._matcher.is_error():
            raise NotSupportedError(f"the shape cannot be followed: {self._matcher.get_error()}")


class ShapeCompiler:
    """Makes constraints for one tokenizer."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, encoder: PromptEncoder, *, vocabulary: int
    ) -> None:
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._vocabulary = vocabulary

    @functools.cached_property
    def _tokens(self) -> LLTokenizer:
        # Takes a second, so it waits until a schema is asked for.
        size = max(self._vocabulary, len(self._tokenizer))
        return from_tokenizer(self._tokenizer, n_vocab=size, eos_token=self._encoder.end_token)

    def compile(self, shape: Shape) -> Constraint | None:
        """Returns a constraint at its beginning, or None for free text.

        Raises:
            NotSupportedError: the JSON Schema uses a feature that cannot be turned into a grammar; the message names it.
        """
        if shape is None:
            return None
        if isinstance(shape, tuple):
            return _Choices(
                {self._encoder.text(choice) for choice in shape}, self._encoder.end_token
            )
        grammar = LLMatcher.grammar_from_json_schema(dict(shape), overrides=_COMPACT)
        matcher = LLMatcher(self._tokens, grammar, log_level=0)
        if matcher.is_error():
            raise NotSupportedError(f"cannot generate in this shape: {matcher.get_error()}")
        return _Grammar(matcher, self._encoder.control_tokens)

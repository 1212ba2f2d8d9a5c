"""Shapes for generated text: grammars that say which tokens may come next, and which must."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from transformers import PreTrainedTokenizerFast

from ..core import NotSupportedError
from .base import Shape

_COMPACT: Any = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}
"""JSON is written in one way only, so that all that stands between values is forced."""


class Constraint:
    """How far a text has come in its shape."""

    def __init__(self, matcher: LLMatcher, control_tokens: frozenset[int]) -> None:
        self._matcher = matcher
        self._control_tokens = control_tokens

    @property
    def complete(self) -> bool:
        """Whether nothing can follow."""
        return bool(self._matcher.is_stopped())

    def allowed(self, vocabulary: int) -> torch.Tensor:
        """Returns which tokens may come next: bool ``[vocabulary]``."""
        packed = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        bits = packed[:, None].bitwise_right_shift(torch.arange(8, dtype=torch.uint8)) & 1
        return bits.flatten()[:vocabulary].bool()

    def take(self, token: int) -> None:
        """Goes on by an allowed token."""
        self._matcher.consume_token(token)
        self._check()

    def forced(self) -> list[int]:
        """Returns the tokens that must come next, and goes on by them."""
        if self.complete:
            return []
        tokens: list[int] = self._matcher.compute_ff_tokens()
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
        self,
        tokenizer: PreTrainedTokenizerFast,
        *,
        vocabulary: int,
        end_token: int,
        control_tokens: frozenset[int],
    ) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._end_token = end_token
        self._control_tokens = control_tokens

    @functools.cached_property
    def _tokens(self) -> LLTokenizer:
        # Takes a second, so it waits until a shape is asked for.
        return from_tokenizer(self._tokenizer, n_vocab=self._vocabulary, eos_token=self._end_token)

    def compile(self, shape: Shape) -> Constraint | None:
        """Returns a constraint at its beginning, or None for free text.

        Raises:
            NotSupportedError: the JSON Schema uses a feature that cannot be turned into a grammar; the message names it.
        """
        if shape is None:
            return None
        matcher = LLMatcher(self._tokens, _grammar(shape), log_level=0)
        if matcher.is_error():
            raise NotSupportedError(f"cannot generate in this shape: {matcher.get_error()}")
        return Constraint(matcher, self._control_tokens)


def _grammar(shape: Mapping[str, Any] | tuple[str, ...]) -> str:
    if isinstance(shape, Mapping):
        return LLMatcher.grammar_from_json_schema(dict(shape), overrides=_COMPACT)
    literals = " | ".join(json.dumps(choice) for choice in shape)
    return LLMatcher.grammar_from_lark(f"start: {literals}")

"""What a run costs, and what it may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens by what they cost, and the number of calls; usages add up.

    The three token counts are the project's measure of cost, the same on every machine.
    """

    computed_tokens: int = 0
    """Tokens that went through the model to be read (prefill)."""
    reused_tokens: int = 0
    """Tokens whose keys and values came from a prefix cache."""
    generated_tokens: int = 0
    """Tokens that were decoded one after the other."""
    model_calls: int = 0
    """Calls of `generate` and `score`."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            computed_tokens=self.computed_tokens + other.computed_tokens,
            reused_tokens=self.reused_tokens + other.reused_tokens,
            generated_tokens=self.generated_tokens + other.generated_tokens,
            model_calls=self.model_calls + other.model_calls,
        )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one run. A run that meets one stops with the stop reason ``limit``."""

    max_steps: int = 8
    max_tool_calls: int = 16
    max_tokens: int | None = None
    """Computed and generated tokens together; None means no bound."""
    max_seconds: float | None = None
    """Wall-clock seconds of the whole run; None means no bound."""

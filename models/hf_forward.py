"""One forward pass over token runs of many requests, without padding.

All new tokens of a pass lie side by side in one row, so the matrix products, which cost most, see real tokens only. What
belongs together is kept apart in attention alone: a `Run` sees the keys and values that it hangs on and its own tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

from ..core import ModelError, NotSupportedError

ATTENTION = "toolverifier_packed"
"""The name under which transformers knows `_attend`."""
VOCABULARY_BLOCK = 2048
"""Tokens of the vocabulary whose logits are held at once in scoring."""
CHECK_TOLERANCE = 0.5
"""Nats by which the log probabilities of a packed and a plain pass may differ; another architecture differs by far more."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """New tokens that hang on the same past."""

    tokens: Sequence[int]
    positions: Sequence[int]
    past: tuple[torch.Tensor, ...] = ()
    """Keys and values before them: each ``[layers, 2, kv_heads, span, head_dim]``."""
    sees: torch.Tensor | None = None
    """Which of the new tokens each new token sees: bool ``[tokens, tokens]``; None is causal."""


class _Pass:
    """What attention needs to know in one forward pass, and what it leaves behind."""

    def __init__(self, runs: Sequence[Run], *, groups: int, like: torch.Tensor) -> None:
        self.runs = runs
        self.ends = list(itertools.accumulate(len(run.tokens) for run in runs))
        self.masks = [_mask(run, groups=groups, like=like) for run in runs]
        self.kv: list[torch.Tensor] = []


def _mask(run: Run, *, groups: int, like: torch.Tensor) -> torch.Tensor | None:
    """Returns what is added to a run's attention logits, or None where every token sees everything.

    Its rows are repeated once a group, because the query heads that share a key head are laid one after the other.
    """
    count = len(run.tokens)
    if count == 1:
        return None
    sees = torch.ones(count, count, dtype=torch.bool).tril() if run.sees is None else run.sees
    past = sum(span.shape[-2] for span in run.past)
    hidden = functional.pad(~sees, (past, 0), value=False)
    mask = torch.zeros(hidden.shape, dtype=like.dtype).masked_fill_(hidden, float("-inf"))
    return mask.repeat(groups, 1).to(like.device)


def _attend(
    _module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    packed: _Pass,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of transformers' interface: ``[1, heads, tokens, head_dim]`` to ``[1, tokens, heads, head_dim]``."""
    special = [name for name in ("sliding_window", "softcap", "s_aux") if others.get(name)]
    if special or attention_mask is not None:
        raise NotSupportedError(f"attention with {', '.join(special) or 'a mask of its own'}")
    heads, kv_heads, width = query.shape[1], key.shape[1], value.shape[3]
    new = torch.stack([key[0], value[0]])
    layer = len(packed.kv)
    packed.kv.append(new)
    output = torch.empty(heads, query.shape[2], width, dtype=query.dtype, device=query.device)
    start = 0
    for run, end, mask in zip(packed.runs, packed.ends, packed.masks, strict=True):
        keys, values = torch.cat(
            [*(span[layer] for span in run.past), new[:, :, start:end]], dim=2
        ).unsqueeze(1)
        queries = query[:, :, start:end].reshape(1, kv_heads, -1, query.shape[3])
        attended = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, scale=scaling
        )
        output[:, start:end] = attended.view(heads, end - start, width)
        start = end
    return output.transpose(0, 1).unsqueeze(0), None


class PackedModel:
    """A causal language model of transformers whose passes are packed."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Switches the model over to packed attention.

        Raises:
            NotSupportedError: packed and plain passes do not agree for this architecture.
        """
        config = model.config
        self.device: torch.device = model.device
        try:
            self.max_positions: int = config.max_position_embeddings
            self._groups = config.num_attention_heads // config.num_key_value_heads
        except (AttributeError, TypeError) as error:
            raise NotSupportedError(f"{type(model).__name__} is not supported: {error}") from error
        self._body = model.base_model
        self._head = model.get_output_embeddings()
        if type(self._head) is not torch.nn.Linear:
            raise NotSupportedError(f"an output layer of type {type(self._head).__name__}")
        self.vocabulary: int = self._head.weight.shape[0]
        tokens = list(range(10, 22))
        with torch.inference_mode():
            plain = model(torch.tensor([tokens], device=self.device)).logits[0].float()
            AttentionInterface.register(ATTENTION, _attend)
            model.set_attn_implementation(ATTENTION)
            self._check(tokens, plain.log_softmax(-1))

    def _check(self, tokens: list[int], expected: torch.Tensor) -> None:
        try:
            hidden, _ = self.forward([Run(tokens=tokens, positions=range(len(tokens)))])
            worst = (self.logits(hidden).log_softmax(-1) - expected).abs().amax().item()
        except (TypeError, AttributeError, RuntimeError, NotSupportedError) as error:
            raise NotSupportedError(
                f"{type(self._body).__name__} is not supported: {error}"
            ) from error
        if not worst <= CHECK_TOLERANCE:
            raise NotSupportedError(
                f"{type(self._body).__name__} is not supported: packed log probabilities are off by {worst:.2g}"
            )

    def forward(self, runs: Sequence[Run]) -> tuple[torch.Tensor, torch.Tensor]:
        """Puts the runs' tokens through the model.

        Returns:
            Hidden states ``[tokens, width]`` and keys and values ``[layers, 2, kv_heads, tokens, head_dim]``, the runs'
            tokens one after the other.
        """
        if sum(len(run.tokens) for run in runs) == 1:
            # A product with one row takes another kernel, which rounds otherwise; a text would depend on whether another
            # grows beside it.
            (lone,) = runs
            hidden, kv = self.forward([lone, Run(tokens=lone.tokens, positions=lone.positions)])
            return hidden[:1], kv[..., :1, :]
        tokens = torch.tensor([[token for run in runs for token in run.tokens]], device=self.device)
        positions = torch.tensor(
            [[position for run in runs for position in run.positions]], device=self.device
        )
        packed = _Pass(runs, groups=self._groups, like=self._head.weight)
        output = self._body(
            input_ids=tokens, position_ids=positions, use_cache=False, packed=packed
        )
        return output.last_hidden_state[0], torch.stack(packed.kv)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Returns float32 logits over the vocabulary for hidden states ``[rows, width]``."""
        return self._block_logits(hidden, slice(None))

    def log_probabilities(
        self, hidden: torch.Tensor, rows: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Returns, in nats, the log probability of each target after the hidden state of its row.

        The vocabulary goes by in blocks that fit the processor's cache, with a running sum for the softmax. The targets'
        own logits are taken in float32: bf16 keeps 8 bits, which rounds a logit of 20 to the next eighth, and two labels
        that are to be told apart often differ by less.

        Args:
            hidden: ``[n, width]``.
            rows: ``[k]``, indices into `hidden`.
            targets: ``[k]``, token ids.
        """
        chosen = self._exact_logits(hidden, rows, targets)
        top = torch.full((len(hidden), 1), float("-inf"), device=self.device)
        total = torch.zeros_like(top)
        for start in range(0, self.vocabulary, VOCABULARY_BLOCK):
            logits = self._block_logits(hidden, slice(start, start + VOCABULARY_BLOCK))
            inside = (targets >= start) & (targets < start + VOCABULARY_BLOCK)
            logits[rows[inside], targets[inside] - start] = chosen[inside]
            new_top = torch.maximum(top, logits.amax(-1, keepdim=True))
            block_total = logits.sub_(new_top).exp_().sum(-1, keepdim=True)
            total = total * (top - new_top).exp_() + block_total
            top = new_top
        return (chosen - (top + total.log())[rows, 0]).cpu()

    def _exact_logits(
        self, hidden: torch.Tensor, rows: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Returns the float32 logit of each target after the hidden state of its row."""
        weight, bias = self._head.weight, self._head.bias
        logits = torch.sum(hidden[rows].float() * weight[targets].float(), dim=-1)
        return logits if bias is None else logits + bias[targets].float()

    def _block_logits(self, hidden: torch.Tensor, block: slice) -> torch.Tensor:
        """Returns float32 logits for a block of the vocabulary."""
        bias = None if self._head.bias is None else self._head.bias[block]
        rows = hidden.expand(2, -1) if len(hidden) == 1 else hidden  # As in `forward`.
        logits: torch.Tensor = functional.linear(rows, self._head.weight[block], bias)
        return logits[: len(hidden)].float()

    def room_after(self, tokens: int) -> int:
        """Returns how many tokens can follow that many.

        Raises:
            ModelError: none can.
        """
        if tokens >= self.max_positions:
            raise ModelError(
                f"the prompt has {tokens} tokens, the model reads {self.max_positions}"
            )
        return self.max_positions - tokens

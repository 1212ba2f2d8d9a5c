"""Decoding, with many texts growing side by side: new ones join and finished ones leave between two steps."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Literal

import torch

from ..core import ModelError, Usage
from .base import ModelOutput
from .hf_forward import PackedModel, Run
from .hf_jobs import GenerateJob, fail, succeed
from .hf_prompt import PromptEncoder
from .hf_shapes import Constraint, ShapeCompiler
from .hf_tree import TokenPath, compute
from .prefix_cache import PrefixCache

_Stop = Literal["end", "length", "stop_string"]

LOOKUP_TOKENS = 3
"""How many last tokens of a text must have stood before for what followed them there to be guessed again."""
MAX_GUESS = 8
"""Guessed tokens that one pass checks; on a CPU it takes hardly longer than a pass with one token."""


@dataclass(kw_only=True)
class _Row:
    """A text that grows."""

    job: GenerateJob
    constraint: Constraint | None
    draws: torch.Generator
    max_tokens: int
    pending: list[int]
    """Tokens that the model has not seen yet."""
    prompt: TokenPath | None
    """The prompt without its last token, where there is one; that one is pending."""
    grown: torch.Tensor | None = None
    """Keys and values of what came after `prompt`."""
    position: int = 0
    """Of the first pending token."""
    seen: list[int]
    """The prompt's tokens, and after them the text's."""
    guess: list[int] = field(default_factory=list)
    """What may come after the pending tokens."""
    text: list[int] = field(default_factory=list)
    first_token: dict[str, float] = field(default_factory=dict)
    usage: Usage = Usage(model_calls=1)

    def run(self) -> Run:
        past = self.prompt.past if self.prompt else ()
        tokens = self.pending + self.guess
        return Run(
            tokens=tokens,
            positions=range(self.position, self.position + len(tokens)),
            past=past if self.grown is None else (*past, self.grown),
        )

    def make_guess(self) -> None:
        """Guesses that the text goes on as it did where its last tokens stood before (Saxena 2023, prompt lookup).

        Answers copy from results, so it often does. Only tokens that the model itself chooses are taken, so the text is that
        of decoding without guesses, but for near ties that bf16 rounds the other way in a pass of several tokens.
        """
        self.guess = []
        if self.constraint is None and self.job.config.temperature == 0:
            tail = self.seen[-LOOKUP_TOKENS:]
            for start in range(len(self.seen) - LOOKUP_TOKENS - 1, -1, -1):
                if self.seen[start : start + LOOKUP_TOKENS] == tail:
                    after = start + LOOKUP_TOKENS
                    self.guess = self.seen[after : after + MAX_GUESS]
                    return

    def grow(self, kv: torch.Tensor, *, pending: int, guessed: int) -> None:
        """Takes in keys and values of the first `pending` tokens and of the `guessed` ones that came true."""
        taken = pending + guessed
        kv = kv[..., :taken, :]
        self.grown = kv.clone() if self.grown is None else torch.cat([self.grown, kv], dim=-2)
        self.position += taken
        self.pending = self.pending[taken:]


class Decoder:
    """The texts that grow at the moment. All its methods are called from one thread."""

    def __init__(
        self,
        model: PackedModel,
        cache: PrefixCache,
        encoder: PromptEncoder,
        shapes: ShapeCompiler,
    ) -> None:
        self._model = model
        self._cache = cache
        self._encoder = encoder
        self._shapes = shapes
        self._rows: list[_Row] = []

    @property
    def busy(self) -> bool:
        """Whether any text is unfinished."""
        return bool(self._rows)

    def admit(self, jobs: list[GenerateJob]) -> None:
        """Reads the jobs' prompts, all in one go, and lets their texts grow with the others."""
        rows = []
        for job in jobs:
            try:
                row = self._start(job)
            except Exception as error:
                fail(job.future, error)
                continue
            if row is not None:
                rows.append(row)
        try:
            compute(self._model, self._cache, [row.prompt for row in rows if row.prompt])
        except Exception as error:
            for row in rows:
                fail(row.job.future, error)
            return
        for row in rows:
            if row.prompt:
                read = row.prompt.computed
                row.usage += Usage(
                    computed_tokens=read, reused_tokens=len(row.prompt.tokens) - read
                )
        self._rows += rows

    def step(self) -> None:
        """Lets every text grow by one decoded token, what was rightly guessed, and what is forced after it."""
        self._rows = [row for row in self._rows if not row.job.future.cancelled()]
        if not self._rows:
            return
        for row in self._rows:
            row.make_guess()
        try:
            runs = [row.run() for row in self._rows]
            hidden, kv = self._model.forward(runs)
            ends = list(itertools.accumulate(len(run.tokens) for run in runs))
            # Logits are wanted after the last pending token and after each guessed one.
            wanted = [
                place
                for row, end in zip(self._rows, ends, strict=True)
                for place in range(end - len(row.guess) - 1, end)
            ]
            logits = iter(self._model.logits(hidden[wanted]).cpu())
        except Exception as error:
            self.fail_all(error)
            return
        going = []
        for row, run, end in zip(self._rows, runs, ends, strict=True):
            own_logits = list(itertools.islice(logits, len(row.guess) + 1))
            try:
                if self._extend(row, own_logits, kv[..., end - len(run.tokens) : end, :]):
                    going.append(row)
            except Exception as error:
                fail(row.job.future, error)
        self._rows = going

    def fail_all(self, error: Exception) -> None:
        """Gives up every unfinished text."""
        for row in self._rows:
            fail(row.job.future, error)
        self._rows = []

    def _start(self, job: GenerateJob) -> _Row | None:
        """Returns the job's row, or None where its whole text is forced."""
        constraint = self._shapes.compile(job.shape)
        tokens = self._encoder.prompt(job.prompt)
        room = self._model.room_after(len(tokens))
        before = tokens[:-1]
        row = _Row(
            job=job,
            constraint=constraint,
            draws=torch.Generator().manual_seed(job.config.seed),
            max_tokens=min(job.config.max_tokens, room),
            pending=[tokens[-1]],
            seen=list(tokens),
            prompt=TokenPath(tokens=before, read_from=len(before), keep=len(before))
            if before
            else None,
            position=len(before),
        )
        return row if self._force(row) else None

    def _extend(self, row: _Row, logits: list[torch.Tensor], kv: torch.Tensor) -> bool:
        """Decodes a token, and others as long as they were guessed; returns whether the text goes on."""
        pending = len(row.pending)
        guessed = 0
        # After the first time, one of the pending tokens was decoded and is counted as that, and so are right guesses.
        read = pending - (row.grown is not None) + len(row.guess)
        row.usage += Usage(computed_tokens=read)
        goes_on = self._decode(row, logits[0])
        while goes_on and guessed < len(row.guess) and row.pending[-1] == row.guess[guessed]:
            guessed += 1
            row.usage += Usage(computed_tokens=-1)
            goes_on = self._decode(row, logits[guessed])
        row.grow(kv, pending=pending, guessed=guessed)
        return goes_on

    def _decode(self, row: _Row, logits: torch.Tensor) -> bool:
        """Decodes one token of the row and takes what is forced after it; returns whether the text goes on."""
        config = row.job.config
        logits = logits.log_softmax(-1)
        if row.constraint is not None:
            logits.masked_fill_(~row.constraint.allowed(len(logits)), float("-inf"))
        if config.top_logprobs and not row.usage.generated_tokens:
            row.first_token = self._top(logits, config.top_logprobs)
        if config.temperature > 0:
            weights = (logits / config.temperature).softmax(-1)
            token = int(torch.multinomial(weights, 1, generator=row.draws))
        else:
            token = int(logits.argmax())
        row.usage += Usage(generated_tokens=1)
        if token in self._encoder.control_tokens:
            return self._finish(row, "end")
        row.text.append(token)
        row.seen.append(token)
        row.pending.append(token)
        if row.constraint is not None:
            row.constraint.take(token)
        return self._force(row)

    def _force(self, row: _Row) -> bool:
        """Takes what is forced at this place; returns whether the text goes on."""
        if row.constraint is not None:
            forced = row.constraint.forced()
            row.text += forced
            row.pending += forced
            if row.constraint.complete:
                return self._finish(row, "end")
        elif row.job.config.stop:
            text = self._encoder.decode(row.text)
            places = [text.find(stop) for stop in row.job.config.stop if stop in text]
            if places:
                return self._finish(row, "stop_string", length=min(places))
        if len(row.text) >= row.max_tokens:
            return self._finish(row, "length")
        return True

    def _finish(self, row: _Row, stop: _Stop, *, length: int | None = None) -> bool:
        """Hands the row's text to whoever waits for it; always returns False: the text does not go on."""
        if stop == "length" and row.constraint is not None:
            raise ModelError(
                f"the text is not complete in its shape after {len(row.text)} tokens (max_tokens is {row.max_tokens})"
            )
        output = ModelOutput(
            text=self._encoder.decode(row.text)[:length],
            stop=stop,
            first_token=row.first_token,
            usage=row.usage,
        )
        succeed(row.job.future, output)
        return False

    def _top(self, logits: torch.Tensor, count: int) -> dict[str, float]:
        """Returns the most probable tokens as text; of tokens with the same text, the most probable."""
        values, tokens = logits.topk(count)
        top: dict[str, float] = {}
        for value, token in zip(values.tolist(), tokens.tolist(), strict=True):
            if value > float("-inf"):
                top.setdefault(self._encoder.decode([token]), value)
        return top

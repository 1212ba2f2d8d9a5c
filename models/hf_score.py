"""Log-likelihoods of continuations, for all who wait for some, in as few forward passes as possible."""

from __future__ import annotations

import itertools

import torch

from ..core import Usage
from .base import ScoreItem, Scores
from .hf_forward import PackedModel
from .hf_jobs import ScoreJob, fail, succeed
from .hf_prompt import PromptEncoder
from .hf_tree import TokenPath, compute
from .prefix_cache import PrefixCache


class _Wanted:
    """An item as tokens."""

    def __init__(self, prompt: tuple[int, ...], continuation: tuple[int, ...]) -> None:
        self.targets = continuation
        # The last token need not be read, and the prompt's last one is read for the first one's probability.
        self.path = TokenPath(
            tokens=prompt + continuation[:-1], read_from=len(prompt) - 1, keep=len(prompt)
        )


class Scorer:
    """Scores jobs. All its methods are called from one thread."""

    def __init__(self, model: PackedModel, cache: PrefixCache, encoder: PromptEncoder) -> None:
        self._model = model
        self._cache = cache
        self._encoder = encoder

    def score(self, jobs: list[ScoreJob]) -> None:
        """Computes the jobs' items together and gives each job its scores or its error."""
        batch: list[tuple[ScoreJob, list[_Wanted]]] = []
        for job in jobs:
            try:
                batch.append((job, self._encode(job)))
            except Exception as error:
                fail(job.future, error)
        if not batch:
            return
        try:
            results = self._compute([wanted for _, wanted in batch])
        except Exception as error:
            if len(batch) == 1:
                fail(batch[0][0].future, error)
                return
            # One of the jobs may be too large for the memory; the others shall not fail with it.
            for job, _ in batch:
                self.score([job])
            return
        for (job, _), scores in zip(batch, results, strict=True):
            succeed(job.future, scores)

    def _encode(self, job: ScoreJob) -> list[_Wanted]:
        prompts: dict[int, tuple[int, ...]] = {}
        wanted = []
        for item in job.items:
            if id(item.prompt) not in prompts:
                prompts[id(item.prompt)] = self._encoder.prompt(item.prompt)
            wanted.append(_Wanted(prompts[id(item.prompt)], self._continuation(item)))
            self._model.room_after(len(wanted[-1].path.tokens))
        return wanted

    def _continuation(self, item: ScoreItem) -> tuple[int, ...]:
        tokens = self._encoder.text(item.continuation)
        return (*tokens, self._encoder.end_token) if item.end else tokens

    def _compute(self, batch: list[list[_Wanted]]) -> list[Scores]:
        wanted = [one for job in batch for one in job]
        hidden = compute(self._model, self._cache, [one.path for one in wanted])
        rows = torch.tensor([row for one in wanted for row in one.path.rows])
        targets = torch.tensor([token for one in wanted for token in one.targets])
        values = self._model.log_probabilities(hidden, rows, targets)
        lengths = [len(one.targets) for one in wanted]
        sums = iter([part.sum().item() for part in torch.split(values, lengths)])
        return [
            Scores(
                values=tuple(itertools.islice(sums, len(job))),
                tokens=tuple(len(one.targets) for one in job),
                usage=_usage(job),
            )
            for job in batch
        ]


def _usage(job: list[_Wanted]) -> Usage:
    computed = sum(one.path.computed for one in job)
    needed = sum(len(one.path.tokens) for one in job)
    return Usage(computed_tokens=computed, reused_tokens=needed - computed, model_calls=1)

"""Evidence for a tool decision: each piece is a log-score for every candidate.

Pieces are combined log-linearly (`combine`), as noisy-channel models have always been (Brown et al. 1993): only
differences between the candidates of one piece mean something, and a piece that fails is left out, never a "no".
"""

from __future__ import annotations

import functools
import math
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..core import Distribution, NotSupportedError, Source, Usage
from ..models import GenerateConfig, Model, Prompt, ScoreItem
from ..tools import ToolSpec
from .prompts import NONE, channel_prompt, direct_prompt, label_prompt


@dataclass(frozen=True, kw_only=True)
class Situation:
    """All that a tool decision may see; no reference answer is in it."""

    request: str
    tools: tuple[ToolSpec, ...]

    @property
    def candidates(self) -> tuple[ToolSpec | None, ...]:
        """The tools in order, then None for "no tool fits"."""
        return (*self.tools, None)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one piece of evidence says."""

    scores: dict[str, float]
    """Log-score in nats of every candidate by name, ``none`` among them."""
    source: Source
    usage: Usage = Usage()


class Evidence(Protocol):
    """One piece of evidence for a tool decision."""

    @property
    def name(self) -> str:
        """The name under which weights and records know it."""
        ...

    async def read(self, situation: Situation, *, model: Model, priors: Model) -> Reading:
        """Returns a score for every candidate.

        `priors` is the same model behind a memory: what does not depend on the request is scored through it.

        Raises:
            ModelError: the backend failed, or cannot do what this piece needs.
        """
        ...


def name_of(candidate: ToolSpec | None) -> str:
    """Returns the candidate's name in records."""
    return NONE if candidate is None else candidate.name


class Lexical:
    """Words that request and tool share, weighed by how few tools have them (inverse document frequency).

    Costs nothing and needs no model. Each word counts once; a tool's score is divided by the root of its number of words,
    so that a long description does not win by length.
    """

    name = "lexical"

    async def read(self, situation: Situation, *, model: Model, priors: Model) -> Reading:  # noqa: ARG002
        """Returns overlap scores; ``none`` has no words and gets 0."""
        words = {tool.name: _words_of_library(_text(tool)) for tool in situation.tools}
        frequency = Counter(word for tool_words in words.values() for word in tool_words)
        asked = _words(situation.request)
        scores = {
            name: sum(math.log(1 + len(words) / frequency[word]) for word in asked & tool_words)
            / math.sqrt(len(tool_words) or 1)
            for name, tool_words in words.items()
        }
        return Reading(scores={**scores, NONE: 0.0}, source="rule")


class Channel:
    """The noisy channel: how likely is the request from somebody who needs this tool?

    log p(request | tool's name, description and argument names). Each tool's prompt is independent of the request, so a
    prefix cache keeps it and only the request's tokens are computed, once a candidate. On small models this is the
    strongest single piece.
    """

    name = "channel"

    async def read(self, situation: Situation, *, model: Model, priors: Model) -> Reading:  # noqa: ARG002
        """Returns the request's log-likelihood under every candidate."""
        items = [
            ScoreItem(prompt=channel_prompt(tool), continuation=situation.request, end=True)
            for tool in situation.candidates
        ]
        scores = await model.score(items)
        names = (name_of(tool) for tool in situation.candidates)
        return Reading(
            scores=dict(zip(names, scores.values, strict=True)),
            source="scores",
            usage=scores.usage,
        )


class Direct:
    """The name's log-likelihood after library and request, less the same under an empty request.

    Removing the prior takes away what makes a name likely by itself (short, frequent, first in the list).
    """

    name = "direct"

    async def read(self, situation: Situation, *, model: Model, priors: Model) -> Reading:
        """Returns pointwise mutual information of name and request; falls back to labels where nothing can score."""
        try:
            asked = await model.score(_name_items(situation, situation.request))
            empty = await priors.score(_name_items(situation, ""))
        except NotSupportedError:
            return await _read_labels(situation, model)
        names = map(name_of, situation.candidates)
        return Reading(
            scores={
                name: value - prior
                for name, value, prior in zip(names, asked.values, empty.values, strict=True)
            },
            source="scores",
            usage=asked.usage + empty.usage,
        )


def _name_items(situation: Situation, request: str) -> list[ScoreItem]:
    prompt = direct_prompt(situation.candidates, request)
    return [
        ScoreItem(prompt=prompt, continuation=name_of(candidate), end=True)
        for candidate in situation.candidates
    ]


async def _read_labels(situation: Situation, model: Model) -> Reading:
    """Reads a choice out of a model that cannot score: by one label for each candidate."""
    labels = label_names(len(situation.candidates))
    labelled = list(zip(labels, situation.candidates, strict=True))
    distribution, usage = await choose_label(
        model, label_prompt(labelled, situation.request), labels
    )
    by_label = dict(zip(distribution.options, distribution.probabilities, strict=True))
    return Reading(
        scores={name_of(tool): math.log(by_label[label]) for label, tool in labelled},
        source=distribution.source,
        usage=usage,
    )


def label_names(count: int) -> tuple[str, ...]:
    """Returns `count` labels, each a letter where 26 are enough and a number where not."""
    if count <= len(string.ascii_uppercase):
        return tuple(string.ascii_uppercase[:count])
    return tuple(str(number) for number in range(1, count + 1))


_LEAST_LABEL = -50.0
_VOTES = 5
"""Answers drawn where a backend gives no log probabilities: enough to tell a sure choice from a torn one."""


async def choose_label(
    model: Model, prompt: Prompt, labels: tuple[str, ...]
) -> tuple[Distribution, Usage]:
    """Returns the distribution over labels that a generating model gives, and its cost.

    Read from the first token's log probabilities where the backend has them for single-token labels; otherwise from
    votes at temperature 1, with half a vote for every label beforehand so that none is impossible.
    """
    config = GenerateConfig(max_tokens=8, top_logprobs=20)
    output = await model.generate(prompt, shape=labels, config=config)
    seen = {token.strip(): value for token, value in output.first_token.items()}
    if len(set("".join(labels))) == len(labels) and seen.keys() & set(labels):
        # Servers write huge negative numbers for tokens that are masked; a label is never quite impossible.
        floor = max(min(seen.values()) - 1.0, _LEAST_LABEL)
        logits = {label: max(seen.get(label, floor), floor) for label in labels}
        return Distribution.from_logits(logits, source="logprobs"), output.usage
    votes = Counter([output.text])
    usage = output.usage
    for seed in range(1, _VOTES):
        config = GenerateConfig(max_tokens=8, temperature=1.0, seed=seed)
        output = await model.generate(prompt, shape=labels, config=config)
        votes[output.text] += 1
        usage += output.usage
    logits = {label: math.log(votes[label] + 0.5) for label in labels}
    return Distribution.from_logits(logits, source="votes"), usage


def combine(
    readings: Mapping[str, Reading],
    *,
    weights: Mapping[str, float],
    none_bias: float,
    candidates: Sequence[str],
) -> Distribution:
    """Returns softmax over candidates of the weighted sum of log-scores.

    Args:
        readings: pieces of evidence by name; a piece without a weight does not count.
        weights: weight of each piece, at least 0.
        none_bias: added to the logit of ``none``.
        candidates: names, ``none`` among them.
    """
    logits = {
        name: sum(
            weights.get(piece, 0.0) * reading.scores[name] for piece, reading in readings.items()
        )
        for name in candidates
    }
    logits[NONE] += none_bias
    sources = {reading.source for piece, reading in readings.items() if weights.get(piece)}
    order: tuple[Source, ...] = ("votes", "logprobs", "scores")
    source: Source = next((source for source in order if source in sources), "rule")
    return Distribution.from_logits(logits, source=source)


_WORD = re.compile(r"[a-z]+|\d+")
_STOPWORDS = frozenset(
    _WORD.findall(
        "a an and are as at be by can do for from get give has have how i in is it its me my of "
        "on or please that the their this to tool use user want was what when where which will "
        "with would you your"
    )
)


def _words(text: str) -> frozenset[str]:
    """Returns the text's content words, with plural and verb endings cut off."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower()
    return frozenset(
        re.sub(r"(?<=..)(ies|es|s|ing|ed|e|y)$", "", word)
        for word in _WORD.findall(split)
        if word not in _STOPWORDS
    )


_words_of_library = functools.lru_cache(maxsize=4096)(_words)
"""The same, remembered: a library's texts come with every request, a request's text once."""


def _text(tool: ToolSpec) -> str:
    return f"{tool.name} {tool.description} {' '.join(tool.properties)}"

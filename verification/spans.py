"""Candidate values of an argument, found in the text of a request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w]|\.\d)")
_NUMBER_WITH_UNIT = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?=[^\W\d_]{1,4}\b|%)")
_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|(?<!\w)'([^']+)'(?!\w)|`([^`]+)`")
_WORD = re.compile(r"\S+")
_TELLING = re.compile(r"[\d_/\\@*]|\w\.\w|[a-z][A-Z]")
"""What makes a word look like an id, a path, a pattern or an address."""
_PROPER = re.compile(r"\b[A-Z][\w'’-]*(?:(?: (?:of|the|de|la|and|du|do|da)){0,2},? [A-Z][\w'’-]*)*")
_AFTER_WORD = re.compile(
    r"\b(?:in|to|from|of|for|at|named|called|about|with|word|text|on|into|between|and|or|than|containing) "
    r"(?:the |a |an |all |any )?([\w.*/-]+(?: [\w.*/-]+){0,2})"
)
_NUMBER_WORDS = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ]
    )
}
_MAX_STRINGS = 16
_MAX_DIGITS = 18
"""Longer ones are ids, and no numbers to reckon with."""
_MAX_CHARS = 20_000
"""Of a text that is searched: it comes from anybody."""
_PUNCTUATION = ".,:;?!'\"()[]{}<>`\u2018\u2019\u201c\u201d"


def number_spans(text: str) -> list[int | float]:
    """Returns the numbers that the text writes, as digits (``1,200``, ``-3.5``, ``5km``) or as words up to twelve."""
    text = text[:_MAX_CHARS]
    found: list[tuple[int, int | float]] = []
    for pattern in (_NUMBER, _NUMBER_WITH_UNIT):
        for match in pattern.finditer(text):
            digits = match.group().replace(",", "")
            if len(digits) > _MAX_DIGITS:
                continue
            found.append((match.start(), float(digits) if "." in digits else int(digits)))
    found += [
        (match.start(), _NUMBER_WORDS[match.group()])
        for match in re.finditer(r"[a-z]+", text.lower())
        if match.group() in _NUMBER_WORDS
    ]
    return list(dict.fromkeys(value for _, value in sorted(found, key=lambda pair: pair[0])))


def string_spans(text: str) -> list[str]:
    """Returns the parts of the text that can be somebody's string value, the surest kinds first.

    Quoted strings, things that look like ids, paths or patterns, proper names, and what follows a preposition.
    """
    return list(dict.fromkeys(_strings(text[:_MAX_CHARS])))[:_MAX_STRINGS]


def _strings(text: str) -> Iterator[str]:
    whole: list[tuple[int, int]] = []
    for match in _QUOTED.finditer(text):
        whole.append(match.span())
        yield next(group for group in match.groups() if group)
    for match in _WORD.finditer(text):
        span = match.group().strip(_PUNCTUATION)
        if len(span) > 1 and _TELLING.search(span) and not _within(match.start(), whole):
            whole.append(match.span())
            yield span
    sentence_starts = {match.end() for match in re.finditer(r"(?:^|[.!?]\s+)(?=\S)", text)}
    for match in _PROPER.finditer(text):
        begins_sentence = match.start() in sentence_starts and " " not in match.group()
        if not begins_sentence and not _within(match.start(), whole):
            yield match.group()
    for match in _AFTER_WORD.finditer(text):
        if not _within(match.start(1), whole):
            words = match.group(1).strip(".,:;?!").split()
            for count in range(1, len(words) + 1):
                yield " ".join(words[:count]).strip(".,:;?!")


def _within(position: int, spans: list[tuple[int, int]]) -> bool:
    return any(start <= position < end for start, end in spans)


def is_verbatim(value: Any, text: str) -> bool:
    """Whether the text writes the value, letter case and white space apart."""
    if isinstance(value, bool) or value is None:
        return False
    if isinstance(value, (int, float)):
        return value in number_spans(text)
    if isinstance(value, str):
        return bool(value.strip()) and _folded(value) in _folded(text)
    if isinstance(value, list):
        return bool(value) and all(is_verbatim(item, text) for item in value)
    if isinstance(value, dict):
        return bool(value) and all(is_verbatim(item, text) for item in value.values())
    return False


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())

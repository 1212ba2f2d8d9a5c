"""A language model of a few lines, for servers and functions that stand in for real ones.

A token's probability depends on the token before it and on nothing else, by a checksum.
"""

from __future__ import annotations

import json
import re
from typing import Any
from zlib import crc32

WORDS = (" the", " city", " of", " light", " and", " rain", ",", " slow", " river", ".")
LIKELY = (" Rome", " Paris", "Paris")
END = "<|end|>"


def tokens_of(text: str) -> list[str]:
    return re.findall(r"<\|\w+\|>|\s*\w+|\s*[^\w\s]|\s+", text)


def rendered(messages: list[dict[str, Any]], *, begins: bool, goes_on: bool) -> str:
    text = "".join(f"<|{message['role']}|>{message['content']}{END}" for message in messages)
    if goes_on:
        return text.removesuffix(END)
    return text + "<|assistant|>" if begins else text


def logprob(before: str, token: str) -> float:
    if token in LIKELY:
        return -0.1
    return -1.0 - crc32(f"{before}|{token}".encode()) % 4000 / 1000


def score(text: str, continuation: str, *, end: bool) -> float:
    before = tokens_of(text)[-1]
    total = 0.0
    for token in [*tokens_of(continuation), *([END] if end else [])]:
        total += logprob(before, token)
        before = token
    return total


def generate(text: str, *, max_tokens: int, seed: int = 0) -> list[str]:
    tokens = tokens_of(text) or [""]
    for _ in range(max_tokens):
        tokens.append(WORDS[crc32(f"{tokens[-1]}|{len(tokens)}|{seed}".encode()) % len(WORDS)])
    return tokens[-max_tokens:] if max_tokens else []


def instance(schema: dict[str, Any]) -> Any:
    """Returns a value that is valid under a simple schema."""
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        return {name: instance(part) for name, part in schema["properties"].items()}
    return {"integer": schema.get("minimum", 0), "string": "x"}[schema["type"]]


def shaped(shape: dict[str, Any] | list[str] | tuple[str, ...]) -> str:
    return json.dumps(instance(shape)) if isinstance(shape, dict) else shape[0]

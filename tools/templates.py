"""Templates of an http binding: ``{argument}`` stands for a call's argument, ``${env:NAME}`` for a secret.

A secret is read from the environment when a call is executed and lives no longer than that call.
"""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from ..core import Problem, ToolError

_PART = re.compile(r"\$\{env:(?P<secret>[A-Za-z_][A-Za-z0-9_]*)\}|(?<!\$)\{(?P<argument>[^{}]+)\}")
_BROKEN_SECRET = re.compile(r"\$\{(?!env:[A-Za-z_][A-Za-z0-9_]*\})[^}]*\}?")


def argument_names(value: Any) -> frozenset[str]:
    """Returns the arguments that a template, or any template in JSON data, stands for."""
    return _names(value, "argument")


def secret_names(value: Any) -> frozenset[str]:
    """Returns the environment variables that a template, or any template in JSON data, stands for."""
    return _names(value, "secret")


def _names(value: Any, group: str) -> frozenset[str]:
    found = (match[group] for text in _texts(value) for match in _PART.finditer(text))
    return frozenset(name for name in found if name)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def template_problems(value: Any, known: Collection[str], *, path: str) -> list[Problem]:
    """Returns what is wrong with a template, or with the templates in JSON data."""
    unknown = sorted(argument_names(value) - frozenset(known))
    problems = [
        Problem(path=path, message=f"the tool has no argument {name!r}; it has {sorted(known)}")
        for name in unknown
    ]
    for text in _texts(value):
        problems += [
            Problem(path=path, message=f"{broken!r} is no secret; write '${{env:NAME}}'")
            for broken in _BROKEN_SECRET.findall(text)
        ]
    return problems


def read_secrets(names: Iterable[str]) -> dict[str, str]:
    """Returns the values of environment variables, without white space around them.

    Raises:
        ToolError: one is not set or empty; names it.
    """
    secrets = {name: os.environ.get(name, "").strip() for name in sorted(names)}
    for name, secret in secrets.items():
        if not secret:
            raise ToolError(f"this tool needs the environment variable {name!r}, which is not set")
    return secrets


def redact(text: str, secrets: Iterable[str]) -> str:
    """Returns the text with every secret replaced, also where it was quoted for a URL, JSON or HTML."""
    forms: set[str] = set()
    for secret in secrets:
        in_json = json.dumps(secret)[1:-1]
        forms |= {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}
        forms |= {in_json, in_json.replace("/", r"\/"), html.escape(secret)}
    if not forms:
        return text
    longest_first = sorted(forms, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), "[secret]", text, flags=re.IGNORECASE)


def is_filled(template: str, arguments: Mapping[str, Any]) -> bool:
    """Whether the call gives every argument that the template stands for."""
    return argument_names(template) <= arguments.keys()


def fill_text(
    template: str,
    arguments: Mapping[str, Any],
    secrets: Mapping[str, str],
    *,
    encode: Callable[[str], str] = str,
) -> str:
    """Returns the template with its arguments and secrets as text, each through `encode`."""

    def replacement(match: re.Match[str]) -> str:
        if match["secret"]:
            return encode(secrets[match["secret"]])
        return encode(as_text(arguments[match["argument"]]))

    return _PART.sub(replacement, template)


def fill(value: Any, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> Any:
    """Returns JSON data with the templates in it filled.

    A text that is one ``{argument}`` and nothing else becomes the argument itself, with its type. Entries
    of objects and lists whose arguments the call does not give are left out.
    """
    if isinstance(value, dict):
        return {
            key: fill(item, arguments, secrets)
            for key, item in value.items()
            if not isinstance(item, str) or is_filled(item, arguments)
        }
    if isinstance(value, list):
        return [
            fill(item, arguments, secrets)
            for item in value
            if not isinstance(item, str) or is_filled(item, arguments)
        ]
    if not isinstance(value, str):
        return value
    whole = _PART.fullmatch(value)
    if whole and whole["argument"]:
        return arguments[whole["argument"]]
    return fill_text(value, arguments, secrets)


def as_text(value: Any) -> str:
    """Returns a JSON value as it is written in a path, a query or a header."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

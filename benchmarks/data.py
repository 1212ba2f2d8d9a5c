"""Labelled tool selections, read from the public sets in their original layout.

Neither set is part of the project. `--data`, or the environment variable TOOLVERIFIER_DATA, names a folder with
``toolselect/train.csv`` (from facebookresearch/ToolVerifier) and ``toolbench/<task>/v0/`` (from sambanova/toolbench).
"""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from toolverifier import ToolSpec
from toolverifier.core import UsageError

_LAST_EASY_ROW = 481
"""The rows behind it have two to four near-neighbours as candidates."""
_MISLABELLED = {"Sun": "Sun-Rise Time tool"}
"""Rows 36 to 38 name a tool that is not among their choices."""
_SECRETS = frozenset({"appid"})


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A request with its candidate tools and the one that is right."""

    id: str
    request: str
    tools: tuple[ToolSpec, ...]
    gold: str


def data_folder(option: str | None) -> Path:
    """Returns the folder that the option or TOOLVERIFIER_DATA names.

    Raises:
        UsageError: neither names a folder.
    """
    named = option or os.environ.get("TOOLVERIFIER_DATA")
    if not named or not Path(named).is_dir():
        raise UsageError(f"no data in {named!r}: name the folder with --data or TOOLVERIFIER_DATA")
    return Path(named)


def toolselect_rows(data: Path) -> list[Labelled]:
    """Returns rows 0 to 481 of ToolSelect, whose distractors are random."""
    path = data / "toolselect" / "train.csv"
    with path.open(newline="", encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)][: _LAST_EASY_ROW + 1]
    return [_toolselect_row(f"toolselect-{number}", text) for number, text in enumerate(texts)]


def toolselect_sample(data: Path, *, count: int, seed: int) -> list[Labelled]:
    """Returns `count` rows drawn with the seed, in the set's order."""
    rows = toolselect_rows(data)
    chosen = sorted(random.Random(seed).sample(range(len(rows)), count))
    return [rows[index] for index in chosen]


def _toolselect_row(row_id: str, text: str) -> Labelled:
    request, choices, decision = text.split("\n###\n")
    lines = choices.removeprefix("Tool Choices: ").split("\n")
    tools = tuple(
        ToolSpec(name=name, description=description)
        for name, _, description in (line.partition(" = ") for line in lines)
    )
    match = re.search(r'Act: CALLTOOL\["(.+)"\]', decision)
    if match is None:
        raise UsageError(f"{row_id}: no CALLTOOL in {decision!r}")
    gold = _MISLABELLED.get(match.group(1), match.group(1))
    return Labelled(id=row_id, request=request.removeprefix("User: "), tools=tools, gold=gold)


def joint_library(data: Path) -> list[Labelled]:
    """Returns the open_weather and the_cat_api requests, all over the tools of both."""
    tasks = ("open_weather", "the_cat_api")
    tools = tuple(tool for task in tasks for tool in _tools_of(data / "toolbench" / task / "v0"))
    by_call = {_call_key(spec_call): spec for spec, spec_call in tools}
    specs = tuple(spec for spec, _ in tools)
    rows: list[Labelled] = []
    for task in tasks:
        path = data / "toolbench" / task / "v0" / "test.jsonl"
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file):
                sample = json.loads(line)
                gold = by_call[_call_key(sample["completion"][0])].name
                row_id = f"{task}-{number}"
                rows.append(Labelled(id=row_id, request=sample["prompt"], tools=specs, gold=gold))
    return rows


def _tools_of(folder: Path) -> list[tuple[ToolSpec, str]]:
    """Returns each documented function as a tool, with its curl line."""
    tools = []
    for path in sorted((folder / "functions").iterdir()):
        first, curl, *rest = path.read_text(encoding="utf-8").strip().split("\n")
        described = {
            name.strip(): text
            for line in rest
            if (match := re.match(r"(.+?): (\((?:required|optional)\) .*)", line))
            for names, text in [match.groups()]
            for name in names.split(",")
        }
        for name in re.findall(r"\{(\w+)\}", curl):
            if not described and name != "optional_params":
                described[name] = "(required)"
        spec = ToolSpec(
            name=path.name,
            description=re.sub(r"[{}]", "", first.removeprefix("# ")),
            parameters=_parameters(described),
            effect="read",
        )
        tools.append((spec, curl))
    return tools


def _parameters(described: dict[str, str]) -> dict[str, Any]:
    shown = {name: text for name, text in described.items() if name not in _SECRETS}
    return {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": re.sub(r"^\(\w+\) ?", "", text)}
            for name, text in shown.items()
        },
        "required": [name for name, text in shown.items() if text.startswith("(required)")],
    }


def _call_key(curl: str) -> tuple[object, ...]:
    """Returns what tells two documented calls apart: method, path without ids, kind of place, and vote."""
    words = shlex.split(curl)
    method = words[words.index("-X") + 1]
    url = urlsplit(next(word for word in words if word.startswith("https://")))
    body = json.loads(words[words.index("--data") + 1]) if "--data" in words else {}
    path = url.path
    if method == "DELETE":
        path = path.rpartition("/")[0]
    query = {name for name, _ in parse_qsl(url.query, keep_blank_values=True)}
    return (method, path, tuple(sorted(query & {"q", "zip", "lat"})), body.get("value"))

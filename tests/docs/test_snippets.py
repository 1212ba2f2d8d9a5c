"""Every snippet of the documents runs, or is at least held to what the commands and the files are.

A comment on the line before a fence says more about it:

- ``<!-- file: NAME -->``: the snippet is also written to that file, for later snippets of the document to read
- ``<!-- tool-library -->``: the JSON is a library that `Toolset.from_json` takes
- ``<!-- prints -->``: the text is what the Python snippet before it prints
- ``<!-- needs-model -->``: the Python snippet stands alone and needs real weights; it runs with the smallest model that can serve
  it, where that is on the machine
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib.util
import inspect
import io
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from toolverifier import Toolset
from toolverifier.cli.main import app
from toolverifier.models.catalog import find

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted(path for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
FENCE = re.compile(
    r"^(?:<!-- (?P<marker>[^\n]+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)
LINK = re.compile(r"\]\((?!https?://|mailto:)(?P<path>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)")
FOREIGN = {"cd", "export", "git", "llama-server", "vllm"}
"""Programs that commands of the documents call and that are not the project's."""
MODEL = "qwen2.5-coder-0.5b"


@dataclass(frozen=True, kw_only=True)
class Snippet:
    document: Path
    line: int
    language: str
    marker: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def snippets(document: Path, *languages: str) -> Iterator[Snippet]:
    text = document.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        if not languages or match["language"] in languages:
            yield Snippet(
                document=document,
                line=text.count("\n", 0, match.start("text")),
                language=match["language"],
                marker=match["marker"] or "",
                text=match["text"],
            )


def run_snippet(snippet: Snippet, names: dict[str, Any], runner: asyncio.Runner) -> str:
    """Runs the snippet, top-level ``await`` included, and returns what it printed."""
    source = "\n" * snippet.line + snippet.text  # so that a traceback names the document's line
    code = compile(
        source,
        str(snippet.document),
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,
    )
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        result = eval(code, names)
        if inspect.isawaitable(result):
            runner.run(result)
    return printed.getvalue()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_snippets_of_a_document_run_in_order_and_print_what_it_says(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: asyncio.Runner
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    for snippet in snippets(document):
        if snippet.marker.startswith("file: "):
            Path(snippet.marker.removeprefix("file: ")).write_text(snippet.text, encoding="utf-8")
        elif snippet.language == "python" and snippet.marker != "needs-model":
            printed = run_snippet(snippet, names, runner)
        if snippet.marker == "prints":
            assert printed == snippet.text, snippet.place


@pytest.mark.model
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "snippet",
    [each for document in DOCUMENTS for each in snippets(document) if each.marker == "needs-model"],
    ids=lambda snippet: snippet.place,
)
def test_a_snippet_that_needs_a_real_model_runs(
    snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: asyncio.Runner
) -> None:
    pytest.importorskip("torch", reason="needs toolverifier[hf]")
    if find(MODEL) is None:
        pytest.skip(f"needs `toolverifier models pull {MODEL}`")
    monkeypatch.chdir(tmp_path)
    text = re.sub(r"hf:qwen2\.5-coder-[\d.]+b(#\w+)?", f"hf:{MODEL}", snippet.text)
    changed = Snippet(**(vars(snippet) | {"text": text}))
    assert run_snippet(changed, {"__name__": "__main__"}, runner)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_json_snippets_are_json_and_those_that_are_tool_libraries_load(document: Path) -> None:
    for snippet in snippets(document, "json"):
        data = json.loads(snippet.text)
        if snippet.marker in ("tool-library", "file: tools.json"):
            assert len(Toolset.from_json(data, allow_python=True, allow_private_hosts=True))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_commands_of_a_document_exist_with_their_options(document: Path) -> None:
    for snippet in snippets(document, "console", "bash"):
        text = snippet.text.replace("\\\n", " ")
        prompts = re.findall(r"^\$ (.*)$", text, re.M)
        for line in prompts if snippet.language == "console" else text.splitlines():
            if problem := command_problem(shlex.split(line, comments=True)):
                pytest.fail(f"{snippet.place}: {line}\n{problem}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_fences_are_of_kinds_that_are_tested_or_plain_text(document: Path) -> None:
    found = list(snippets(document))
    text = document.read_text(encoding="utf-8")
    assert len(re.findall(r"^```", text, re.M)) == 2 * len(found)
    kinds = {"python", "json", "console", "bash", "text"}
    assert {snippet.language for snippet in found} <= kinds
    file = "file: "
    markers = {each.marker for each in found if not each.marker.startswith(file)}
    assert markers <= {"", "prints", "needs-model", "tool-library"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_of_a_document_lead_somewhere(document: Path) -> None:
    broken = []
    for match in LINK.finditer(document.read_text(encoding="utf-8")):
        target = document.parent / match["path"] if match["path"] else document
        anchor = (match["anchor"] or "#")[1:]
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(match.group()[2:-1])
    assert broken == []


def anchors(document: Path) -> set[str]:
    """Returns the names under which headings can be linked to."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_a_command_that_does_not_exist_is_found() -> None:
    assert command_problem(["toolverifier", "run", "REQUEST", "--tols", "x"])
    assert command_problem(["toolverifier", "fly"])
    assert command_problem(["toolverifier", "run", "REQUEST"])  # --tools is missing
    assert command_problem(["make", "coffee"])
    assert command_problem(["python", "examples/none.py"])
    assert command_problem(["python", "-m", "benchmarks.none"])
    assert command_problem(["pip", "install", "toolverifier[none]"])
    assert command_problem(["frobnicate"])
    assert command_problem(["toolverifier", "models", "list", "--json"]) is None


def command_problem(words: list[str]) -> str | None:
    """Returns why the command cannot be given, as far as that can be told without running it."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if not words:
        return None
    program, arguments = words[0].rpartition("/")[2], words[1:]
    if program == "toolverifier":
        return _own_problem(arguments)
    if program == "make":
        made = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
        return None if set(arguments) <= set(made) else f"the Makefile makes {made}"
    if program == "python":
        return _python_problem(arguments)
    if program == "pip":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        extras = re.findall(r"toolverifier\[([\w,]+)\]", " ".join(arguments))
        unknown = set(",".join(extras).split(",")) - project["optional-dependencies"].keys() - {""}
        return f"there are no extras {unknown}" if unknown else None
    return None if program in FOREIGN else f"{program!r} is not known; add it to FOREIGN"


def _own_problem(arguments: list[str]) -> str | None:
    command: Any = typer.main.get_command(app)
    _only_parse(command)
    try:
        command.main(arguments, standalone_mode=False)
    except Exception as error:
        # By name, because typer brings a click of its own in some releases.
        if "UsageError" not in [kind.__name__ for kind in type(error).__mro__]:
            raise
        return f"{type(error).__name__}: {error}"
    return None


def _only_parse(command: Any) -> None:
    for child in getattr(command, "commands", {}).values():
        _only_parse(child)
    if not hasattr(command, "commands"):
        command.callback = lambda **_: None


def _python_problem(arguments: list[str]) -> str | None:
    if arguments[:1] != ["-m"]:
        return None if (ROOT / arguments[0]).is_file() else f"there is no {arguments[0]}"
    sys.path.insert(0, str(ROOT))
    try:
        found = importlib.util.find_spec(arguments[1])
    finally:
        sys.path.remove(str(ROOT))
    return None if found else f"there is no module {arguments[1]}"

import asyncio
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolverifier.core import ToolError, UsageError
from toolverifier.tools.builtin import files as files_module
from toolverifier.tools.builtin import folder as folder_module
from toolverifier.tools.builtin import workspace
from toolverifier.tools.toolset import Toolset

READERS = ("read_file", "count_lines", "file_info")
NOW = datetime(2026, 3, 1, 14, 5, 9, tzinfo=UTC)


async def call(tools: Toolset, name: str, **arguments: Any) -> str:
    tool = tools.get(name)
    assert tool is not None
    assert tool.run is not None
    result = await tool.run(arguments)
    assert isinstance(result, str)
    return result


async def failure(tools: Toolset, name: str, **arguments: Any) -> str:
    with pytest.raises(ToolError) as caught:
        await call(tools, name, **arguments)
    return caught.value.message


def write(root: Path, **contents: str | bytes) -> None:
    """Writes files, a minute apart; in names, ``__`` stands for ``/`` and ``_`` for ``.``."""
    for number, (name, content) in enumerate(contents.items()):
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        moment = NOW.timestamp() - 60 * number
        os.utime(path, (moment, moment))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    write(folder, secret_txt="the secret\n", inner__deep_txt="deep secret\n")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    write(
        folder,
        README_md="# Title\nTimeout is 30 s.\n",
        docs__guide_md="one\r\ntwo TIMEOUT\r\nthree",
        src__main_py="import os\n",
        src__data_bin=b"\0\1\2timeout",
        src__empty_txt="",
    )
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("timeout = 1\n")
    return folder


@pytest.fixture
def tools(root: Path) -> Toolset:
    return workspace(root, clock=lambda: NOW)


def test_every_tool_reads_only_and_describes_itself_and_its_arguments(tools: Toolset) -> None:
    assert [spec.name for spec in tools.specs] == [
        "find_files",
        "search_text",
        "read_file",
        "list_recent_files",
        "file_info",
        "count_lines",
        "current_time",
        "convert_time",
        "convert_units",
        "calculate",
    ]
    for spec in tools.specs:
        assert spec.effect == "read"
        assert all(schema["description"] for schema in spec.properties.values())
        assert spec.required == {
            name for name, schema in spec.properties.items() if "default" not in schema
        }


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no folder '.*nowhere' to make a workspace of"):
        workspace(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("readme", ["README.md"]),
        ("*.MD", ["README.md", "docs/guide.md"]),
        ("**/*.md", ["README.md", "docs/guide.md"]),
        ("src/*", ["src/data.bin", "src/empty.txt", "src/main.py"]),
        ("./src/**/*.py", ["src/main.py"]),
        ("docs/", ["docs/guide.md"]),
        ("[dg]*", ["docs/guide.md", "src/data.bin"]),
    ],
)
async def test_files_are_found_by_part_of_the_name_or_by_pattern(
    tools: Toolset, pattern: str, found: list[str]
) -> None:
    noun = "1 file" if len(found) == 1 else f"{len(found)} files"
    expected = "\n".join([f"{noun} with a name that fits {pattern!r}:", *found])
    assert await call(tools, "find_files", pattern=pattern) == expected


async def test_what_is_not_found_is_said(tools: Toolset) -> None:
    assert await call(tools, "find_files", pattern="config") == "No file name fits 'config'."
    assert await call(tools, "search_text", text="absent") == "No line contains 'absent'."
    assert await call(tools, "list_recent_files", files="*.rs") == "No file name fits '*.rs'."


async def test_text_is_searched_in_text_files_outside_of_caches(tools: Toolset) -> None:
    assert await call(tools, "search_text", text="timeout") == (
        "2 lines in 2 files with 'timeout':\nREADME.md:2: Timeout is 30 s.\ndocs/guide.md:2: two TIMEOUT"
    )
    assert await call(tools, "search_text", text="timeout", files="*.md") == await call(
        tools, "search_text", text="timeout"
    )
    assert await call(tools, "search_text", text="timeout", files="readme*") == (
        "1 line in 1 file with 'timeout':\nREADME.md:2: Timeout is 30 s."
    )


async def test_long_lines_are_shortened_around_what_was_found(root: Path, tools: Toolset) -> None:
    write(root, long_txt="\ta" * 300 + "NEEDLE" + "b" * 600)
    result = await call(tools, "search_text", text="needle")
    line = result.removeprefix("1 line in 1 file with 'needle':\nlong.txt:1: ")
    assert line == "..." + " a" * 50 + "NEEDLE" + "b" * 94 + "..."


async def test_a_file_is_read_whole_or_by_lines(tools: Toolset) -> None:
    assert await call(tools, "read_file", path="docs/guide.md") == "one\ntwo TIMEOUT\nthree"
    assert await call(tools, "read_file", path="README.md") == "# Title\nTimeout is 30 s."
    assert await call(tools, "read_file", path="docs/guide.md", start_line=2, max_lines=1) == (
        "two TIMEOUT\n(lines 2 to 2 of 3)"
    )
    assert await call(tools, "read_file", path="src/empty.txt") == "src/empty.txt is empty."
    message = "'docs/guide.md' has only 3 lines"
    assert await failure(tools, "read_file", path="docs/guide.md", start_line=4) == message


async def test_a_very_long_text_is_cut(root: Path, tools: Toolset) -> None:
    write(root, wide_txt="x" * 100_001)
    result = await call(tools, "read_file", path="wide.txt")
    assert result == "x" * 100_000 + "\n(cut after 100000 characters)"


async def test_bytes_that_are_no_text_are_shown_as_such_or_said_to_be_binary(
    root: Path, tools: Toolset
) -> None:
    write(root, latin_txt="caf\xe9".encode("latin-1"), bom_txt="\ufeffhello".encode())
    assert await call(tools, "read_file", path="latin.txt") == "caf\ufffd"
    assert await call(tools, "read_file", path="bom.txt") == "hello"
    message = "'src/data.bin' is a binary file and has no text; file_info tells its size"
    assert await failure(tools, "read_file", path="src/data.bin") == message
    assert await failure(tools, "count_lines", path="src/data.bin") == message


async def test_recent_files_are_listed_newest_first(tools: Toolset) -> None:
    assert await call(tools, "list_recent_files", count=2) == (
        "2 files, most recently modified first:\n"
        "2026-03-01 14:05:09 UTC  README.md\n"
        "2026-03-01 14:04:09 UTC  docs/guide.md"
    )
    assert await call(tools, "list_recent_files", files="*.py") == (
        "1 file, most recently modified first:\n2026-03-01 14:03:09 UTC  src/main.py"
    )


async def test_facts_of_files_and_folders_are_told(root: Path, tools: Toolset) -> None:
    os.utime(root / "docs", (NOW.timestamp(), NOW.timestamp()))
    assert await call(tools, "file_info", path="README.md") == (
        "README.md is a text file of 25 bytes, last modified 2026-03-01 14:05:09 UTC."
    )
    assert await call(tools, "file_info", path="src/data.bin") == (
        "src/data.bin is a binary file of 10 bytes, last modified 2026-03-01 14:02:09 UTC."
    )
    assert await call(tools, "file_info", path="docs") == (
        "docs is a folder, last modified 2026-03-01 14:05:09 UTC."
    )
    assert (await call(tools, "file_info", path=".")).startswith(". is a folder")


@pytest.mark.parametrize(
    ("content", "lines"),
    [("", "0 lines"), ("a", "1 line"), ("a\n", "1 line"), ("a\nb", "2 lines"), ("\n\n", "2 lines")],
)
async def test_lines_are_counted(root: Path, tools: Toolset, content: str, lines: str) -> None:
    write(root, a_txt=content)
    assert await call(tools, "count_lines", path="a.txt") == f"a.txt has {lines}."


async def test_a_missing_file_is_an_error_that_suggests_others(tools: Toolset) -> None:
    assert await failure(tools, "read_file", path="readme.MD") == (
        "no file 'readme.MD'; did you mean 'README.md'?"
    )
    assert await failure(tools, "count_lines", path="guide.md") == (
        "no file 'guide.md'; did you mean 'docs/guide.md'?"
    )
    assert await failure(tools, "file_info", path="src/mian.py") == (
        "no file 'src/mian.py'; did you mean 'src/main.py'?"
    )
    assert await failure(tools, "read_file", path="README.md/x") == (
        "no file 'README.md/x'; did you mean 'README.md'?"
    )
    assert await failure(tools, "read_file", path="zzz") == (
        "no file 'zzz' in the workspace folder; find_files lists what there is"
    )


async def test_what_is_no_regular_file_is_not_read(
    root: Path, tools: Toolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(root / "pipe")
    monkeypatch.chdir(root)  # the whole path may be too long for a socket
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("socket")
    assert (
        await failure(tools, "read_file", path="docs")
        == "'docs' is a folder, not a file with contents"
    )
    for name in READERS:
        assert await failure(tools, name, path="pipe") == (
            "'pipe' is a special file, not a file with contents"
        )
        assert (await failure(tools, name, path="socket")).startswith("'socket' cannot be read: ")
    assert await call(tools, "find_files", pattern="pipe") == "No file name fits 'pipe'."


async def test_no_path_leads_out_of_the_folder(root: Path, outside: Path, tools: Toolset) -> None:
    (root / "link.txt").symlink_to(outside / "secret.txt")
    (root / "linked").symlink_to(outside)
    (root / "docs" / "up").symlink_to("..")
    (root / "chain").symlink_to("linked/inner")
    paths = [
        "../outside/secret.txt",
        "docs/../../outside/secret.txt",
        str(outside / "secret.txt"),
        "/etc/passwd",
        "link.txt",
        "linked/secret.txt",
        "linked/inner/deep.txt",
        "linked/../outside/secret.txt",
        "docs/up/link.txt",
        "docs/up/../outside/secret.txt",
        "chain/deep.txt",
        "..",
        "linked/nothing-there",
        "../nothing-there",
        "../root-beside/x",
    ]
    for path in paths:
        for name in READERS:
            assert await failure(tools, name, path=path) == (
                f"{path!r} is outside the workspace folder; give a path inside it"
            )
    assert await call(tools, "search_text", text="secret") == "No line contains 'secret'."
    assert await call(tools, "find_files", pattern="*.txt") == (
        "1 file with a name that fits '*.txt':\nsrc/empty.txt"
    )


async def test_links_inside_the_folder_are_followed_to_files(root: Path, tools: Toolset) -> None:
    (root / "alias.md").symlink_to("docs/guide.md")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("docs/none")
    assert await call(tools, "count_lines", path="alias.md") == "alias.md has 3 lines."
    assert await call(tools, "count_lines", path=str(root / "docs/guide.md")) == (
        f"{root / 'docs/guide.md'} has 3 lines."
    )
    assert await call(tools, "find_files", pattern="*") == (
        "6 files with a name that fits '*':\n"
        "README.md\nalias.md\ndocs/guide.md\nsrc/data.bin\nsrc/empty.txt\nsrc/main.py"
    )
    assert (await failure(tools, "read_file", path="loop")).startswith("'loop' cannot be read: ")


@pytest.mark.parametrize("swapped", ["docs", "docs/guide.md"])
async def test_a_name_that_becomes_a_link_after_the_check_is_not_followed(
    root: Path, outside: Path, tools: Toolset, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    write(outside, guide_md="stolen\n")
    resolve = os.path.realpath
    swaps = iter([None])

    def resolve_then_swap(path: Any, **others: Any) -> str:
        real = resolve(path, **others)
        for _ in swaps:
            (root / swapped).rename(root / "moved")
            (root / swapped).symlink_to(outside if swapped == "docs" else outside / "guide.md")
        return real

    monkeypatch.setattr(os.path, "realpath", resolve_then_swap)
    assert "docs/guide.md" in await failure(tools, "read_file", path="docs/guide.md")
    assert (root / "docs" / "guide.md").read_text() == "stolen\n"


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "x" * 5000, "x/" * 3000])
async def test_what_can_be_no_path_is_an_error(tools: Toolset, path: str) -> None:
    assert repr(path) in await failure(tools, "read_file", path=path)


async def test_large_folders_and_files_are_looked_at_up_to_a_limit_that_is_said(
    root: Path, tools: Toolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "MAX_FILES", 2)
    note = "(only the first 2 files were looked at)"
    assert await call(tools, "find_files", pattern="main") == f"No file name fits 'main'.\n{note}"
    assert (await call(tools, "search_text", text="timeout")).endswith(note)
    assert (await call(tools, "list_recent_files")).endswith(note)
    monkeypatch.undo()
    write(root, big_md="timeout\n" * 100)
    monkeypatch.setattr(files_module, "MAX_SEARCHED_FILE_BYTES", 500)
    assert await call(tools, "search_text", text="title") == (
        "1 line in 1 file with 'title':\nREADME.md:1: # Title\n(1 large file not searched)"
    )
    monkeypatch.setattr(files_module, "MAX_SEARCHED_BYTES", 30)
    assert "\n(stopped after 0 MB of files)" in await call(tools, "search_text", text="title")
    monkeypatch.setattr(files_module, "MAX_READ_BYTES", 20)
    assert await failure(tools, "read_file", path="README.md") == (
        "'README.md' has 25 bytes, more than the 20 that can be looked at"
    )


async def test_long_lists_are_cut_and_the_whole_number_is_said(root: Path, tools: Toolset) -> None:
    for number in range(120):
        (root / f"note{number:03}.txt").write_text("needle\n")
    found = (await call(tools, "find_files", pattern="note")).split("\n")
    assert found[0] == "120 files with a name that fits 'note':"
    assert found[1:101] == [f"note{number:03}.txt" for number in range(100)]
    assert found[101:] == ["(the first 100 of 120)"]
    lines = (await call(tools, "search_text", text="needle")).split("\n")
    assert (lines[0], lines[-1]) == (
        "120 lines in 120 files with 'needle':",
        "(the first 50 of 120)",
    )


async def test_a_folder_that_cannot_be_listed_is_passed_over(
    tools: Toolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def refusing(path: str) -> Any:
        if path.endswith("docs/"):
            raise PermissionError(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert await call(tools, "find_files", pattern="*.md") == (
        "1 file with a name that fits '*.md':\nREADME.md"
    )


async def test_a_file_that_goes_away_during_a_search_is_passed_over(
    root: Path, tools: Toolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = folder_module.Folder.listing

    def then_remove(self: folder_module.Folder) -> folder_module.Listing:
        found = listing(self)
        (root / "README.md").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(folder_module.Folder, "listing", then_remove)
    assert await call(tools, "search_text", text="timeout") == (
        "1 line in 1 file with 'timeout':\ndocs/guide.md:2: two TIMEOUT"
    )


async def test_strange_file_names_stay_on_one_line_and_can_be_written(
    root: Path, tools: Toolset
) -> None:
    (root / "new\nline.md").write_text("timeout")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.md")).write_text("x")
    found = await call(tools, "find_files", pattern="*.md")
    assert found.encode().decode().split("\n")[1:] == [
        "README.md",
        "new\\nline.md",
        "\\udcff.md",
        "docs/guide.md",
    ]


pieces = st.sampled_from(
    ["..", ".", "", "docs", "guide.md", "linked", "up", "outside", "secret.txt", "root", "\0", "~"]
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.lists(pieces | st.text(max_size=4), max_size=7).map("/".join), absolute=st.booleans()
)
def test_no_path_that_can_be_made_up_reads_a_secret(
    root: Path, outside: Path, path: str, absolute: bool
) -> None:
    if not (root / "linked").is_symlink():
        (root / "linked").symlink_to(outside)
        (root / "up").symlink_to("..")
    folder = folder_module.Folder(root)
    try:
        with folder.open(f"{root}/{path}" if absolute else path) as file:
            content = file.read()
    except ToolError:
        return
    assert content in {(root / "README.md").read_bytes(), (root / "docs" / "guide.md").read_bytes()}


@settings(max_examples=100, deadline=None)
@given(pattern=st.text(st.sampled_from("*?[]!-ab/.\\"), min_size=1, max_size=30))
def test_any_pattern_is_a_pattern(tmp_path_factory: pytest.TempPathFactory, pattern: str) -> None:
    root = tmp_path_factory.getbasetemp() / "patterns"
    root.mkdir(exist_ok=True)
    (root / ("ab" * 50)).touch()
    text = asyncio.run(call(workspace(root), "find_files", pattern=pattern))
    assert text.split("\n")[0].endswith((f"fits {pattern!r}.", f"fits {pattern!r}:"))

"""The tools that look at files."""

from __future__ import annotations

import fnmatch
import os
import stat
from datetime import UTC, datetime
from typing import BinaryIO

from ...core import ToolError
from ..tool import Tool
from .folder import Folder
from .reading import reading_tool

MAX_READ_BYTES = 10_000_000
MAX_COUNTED_BYTES = 1_000_000_000
MAX_SEARCHED_FILE_BYTES = 2_000_000
MAX_SEARCHED_BYTES = 50_000_000
MAX_SHOWN_FILES = 100
MAX_SHOWN_LINES = 50
MAX_SHOWN_CHARS = 100_000
_SHOWN_LINE_CHARS = 200
_BLOCK_BYTES = 1 << 20

_PATH = {
    "type": "string",
    "minLength": 1,
    "description": "Path of the file inside the folder, for example 'docs/guide.md'.",
}
_FILES = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "default": "*",
    "description": "Only files whose name fits this pattern, for example '*.py'.",
}


def file_tools(folder: Folder) -> list[Tool]:
    """Returns the tools that find, search and read files of the folder."""
    over = FileTools(folder)
    return [
        reading_tool(
            over.find_files,
            "Finds files by their name and lists their paths. Looks at names only, not at what is in the files.",
            pattern={
                "type": "string",
                "minLength": 1,
                "maxLength": 200,
                "description": "Part of the name, or a pattern such as '*.md'; upper and lower case are equal.",
            },
        ),
        reading_tool(
            over.search_text,
            "Searches inside files for a word or phrase and lists the lines that contain it.",
            text={
                "type": "string",
                "minLength": 1,
                "description": "The exact words to look for; upper and lower case are equal.",
            },
            files=_FILES,
        ),
        reading_tool(
            over.read_file,
            "Shows the contents of one text file whose path is known.",
            path=_PATH,
            start_line={
                "type": "integer",
                "minimum": 1,
                "default": 1,
                "description": "First line to show.",
            },
            max_lines={
                "type": "integer",
                "minimum": 1,
                "maximum": 2000,
                "default": 500,
                "description": "How many lines to show.",
            },
        ),
        reading_tool(
            over.list_recent_files,
            "Lists the files that were changed last, newest first, with the times of their last change.",
            count={
                "type": "integer",
                "minimum": 1,
                "maximum": 100,
                "default": 10,
                "description": "How many files to list.",
            },
            files=_FILES,
        ),
        reading_tool(
            over.file_info,
            "Tells the size in bytes, the kind (text, binary or folder) and the time of the last change of one file, not its contents.",
            path=_PATH,
        ),
        reading_tool(
            over.count_lines,
            "Counts how many lines one text file has.",
            path=_PATH,
        ),
    ]


class FileTools:
    """What the tools do, over one folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def find_files(self, pattern: str) -> str:
        """Lists the files whose name fits."""
        listing = self._folder.listing()
        paths = [entry.path for entry in listing.entries if _fits(entry.path, pattern)]
        if not paths:
            return _joined(f"No file name fits {pattern!r}.", listing.note)
        head = f"{_count(len(paths), 'file')} with a name that fits {pattern!r}:"
        return _joined(head, *_shown(paths, MAX_SHOWN_FILES), listing.note)

    def search_text(self, text: str, files: str = "*") -> str:
        """Lists the lines that contain the text."""
        listing = self._folder.listing()
        found: list[str] = []
        in_files = 0
        left, skipped, stopped = MAX_SEARCHED_BYTES, 0, ""
        for entry in listing.entries:
            if not _fits(entry.path, files):
                continue
            if entry.size > left:
                stopped = f"(stopped after {MAX_SEARCHED_BYTES // 1_000_000} MB of files)"
                break
            if entry.size > MAX_SEARCHED_FILE_BYTES:
                skipped += 1
                continue
            left -= entry.size
            lines = _lines_with(self._folder, entry.path, text.casefold())
            in_files += bool(lines)
            found += lines
        note = f"({_count(skipped, 'large file')} not searched)" if skipped else ""
        if not found:
            return _joined(f"No line contains {text!r}.", listing.note, stopped, note)
        head = f"{_count(len(found), 'line')} in {_count(in_files, 'file')} with {text!r}:"
        return _joined(head, *_shown(found, MAX_SHOWN_LINES), listing.note, stopped, note)

    def read_file(self, path: str, start_line: int = 1, max_lines: int = 500) -> str:
        """Returns lines of a text file."""
        lines = _text(self._folder, path, MAX_READ_BYTES).split("\n")
        if lines[-1] == "":
            lines.pop()
        if not lines:
            return f"{path} is empty."
        if start_line > len(lines):
            raise ToolError(f"{path!r} has only {_count(len(lines), 'line')}")
        end = min(start_line - 1 + max_lines, len(lines))
        text = "\n".join(line.removesuffix("\r") for line in lines[start_line - 1 : end])
        note = ""
        if len(text) > MAX_SHOWN_CHARS:
            text, note = text[:MAX_SHOWN_CHARS], f"(cut after {MAX_SHOWN_CHARS} characters)"
        elif start_line > 1 or end < len(lines):
            note = f"(lines {start_line} to {end} of {len(lines)})"
        return _joined(text, note)

    def list_recent_files(self, count: int = 10, files: str = "*") -> str:
        """Lists the files that were modified last."""
        listing = self._folder.listing()
        entries = [entry for entry in listing.entries if _fits(entry.path, files)]
        entries.sort(key=lambda entry: (-entry.modified, entry.path))
        if not entries:
            return _joined(f"No file name fits {files!r}.", listing.note)
        rows = [
            f"{_instant(entry.modified)}  {_printable(entry.path)}" for entry in entries[:count]
        ]
        head = f"{_count(len(rows), 'file')}, most recently modified first:"
        return _joined(head, *rows, listing.note)

    def file_info(self, path: str) -> str:
        """Tells size, type and time of modification."""
        status = self._folder.status(path)
        modified = f"last modified {_instant(status.st_mtime)}"
        if stat.S_ISDIR(status.st_mode):
            return f"{path} is a folder, {modified}."
        with self._folder.open(path) as file:
            kind = "binary" if b"\0" in file.read(_BLOCK_BYTES) else "text"
        return f"{path} is a {kind} file of {_count(status.st_size, 'byte')}, {modified}."

    def count_lines(self, path: str) -> str:
        """Counts lines; a last line without a line break is one too."""
        count, last = 0, b"\n"
        with self._folder.open(path) as file:
            _check_size(file, path, MAX_COUNTED_BYTES)
            while block := file.read(_BLOCK_BYTES):
                if b"\0" in block:
                    raise ToolError(_binary(path))
                count += block.count(b"\n")
                last = block[-1:]
        count += last != b"\n"
        return f"{path} has {_count(count, 'line')}."


def _fits(path: str, pattern: str) -> bool:
    """Whether a file's name, or its path where the pattern has a ``/``, fits."""
    path = path.casefold()
    pattern = pattern.casefold().removeprefix("./").replace("**/", "*")
    subject = path if "/" in pattern else path.rpartition("/")[2]
    if any(wildcard in pattern for wildcard in "*?["):
        return fnmatch.fnmatchcase(subject, pattern)
    return pattern in subject


def _lines_with(folder: Folder, path: str, wanted: str) -> list[str]:
    try:
        text = _text(folder, path, MAX_SEARCHED_FILE_BYTES)
    except ToolError:
        return []  # binary, unreadable, or gone meanwhile
    if wanted not in text.casefold():
        return []
    return [
        f"{path}:{number}: {_shortened(line, wanted)}"
        for number, line in enumerate(text.split("\n"), start=1)
        if wanted in line.casefold()
    ]


def _shortened(line: str, wanted: str) -> str:
    line = line.strip().replace("\t", " ")
    if len(line) <= _SHOWN_LINE_CHARS:
        return line
    start = max(0, line.casefold().find(wanted) - _SHOWN_LINE_CHARS // 2)
    return f"...{line[start : start + _SHOWN_LINE_CHARS]}..."


def _text(folder: Folder, path: str, max_bytes: int) -> str:
    with folder.open(path) as file:
        _check_size(file, path, max_bytes)
        data = file.read(max_bytes)
    if b"\0" in data:
        raise ToolError(_binary(path))
    return data.decode("utf-8-sig", errors="replace")


def _check_size(file: BinaryIO, path: str, max_bytes: int) -> None:
    size = os.fstat(file.fileno()).st_size
    if size > max_bytes:
        raise ToolError(
            f"{path!r} has {size} bytes, more than the {max_bytes} that can be looked at"
        )


def _binary(path: str) -> str:
    return f"{path!r} is a binary file and has no text; file_info tells its size"


def _instant(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _shown(rows: list[str], limit: int) -> list[str]:
    shown = [_printable(row) for row in rows[:limit]]
    return shown + ([f"(the first {limit} of {len(rows)})"] if len(rows) > limit else [])


def _printable(text: str) -> str:
    """Returns text that stays on its line and can be written as UTF-8, whatever a file is called."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _joined(*lines: str) -> str:
    return "\n".join(line for line in lines if line)

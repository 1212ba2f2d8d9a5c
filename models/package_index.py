"""Files on a Python package index, found the way pip is configured to find them; nothing is installed or imported."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import ssl
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

import httpx

DEFAULT_INDEX = "https://pypi.org/simple"
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"
_MAX_PAGE_BYTES = 8 << 20


class PackageIndexError(Exception):
    """The index cannot be used, has no such file, or makes no sense; the message says what."""


@dataclass(frozen=True, kw_only=True)
class IndexSettings:
    """Where pip looks for packages."""

    url: str = DEFAULT_INDEX
    """May hold a password, so it is never shown."""
    cert: str | None = None
    """File of the certificates to trust, or None for the usual ones."""

    def verify(self) -> ssl.SSLContext | bool:
        """Returns what `httpx` takes as ``verify``.

        Raises:
            PackageIndexError: the certificates cannot be read.
        """
        try:
            return ssl.create_default_context(cafile=self.cert) if self.cert else True
        except OSError as error:
            raise PackageIndexError(
                f"pip's certificates {self.cert} cannot be read ({error.strerror or error})"
            ) from None


@dataclass(frozen=True, kw_only=True)
class FileLink:
    """A file that the index offers."""

    url: str
    sha256: str | None = None
    size: int | None = None
    """Bytes, or None where the index does not say."""


async def index_settings() -> IndexSettings:
    """Returns pip's index and certificates: from the environment, else from its configuration files."""
    configured = await _pip_configuration()
    return IndexSettings(
        url=os.environ.get("PIP_INDEX_URL") or configured.get("index-url", DEFAULT_INDEX),
        cert=os.environ.get("PIP_CERT") or configured.get("cert"),
    )


async def _pip_configuration() -> dict[str, str]:
    """Returns pip's own settings by name; none where pip is missing, as in environments made by other installers."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pip",
        "config",
        "list",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    lines = re.findall(r"^(?:global|download)\.([\w-]+)=(.+)$", output.decode(), re.MULTILINE)
    return {name: str(ast.literal_eval(value)) for name, value in lines}


async def find_file(client: httpx.AsyncClient, index: str, *, package: str, file: str) -> FileLink:
    """Returns the link to a package's file, from the index's page in JSON or HTML (PEP 503, PEP 691).

    Raises:
        PackageIndexError: there is no such package or file, or the page makes no sense.
        httpx.HTTPError: the index cannot be reached.
    """
    url = f"{index.rstrip('/')}/{package}/"
    async with client.stream("GET", url, headers={"Accept": _ACCEPT}) as reply:
        if reply.status_code != httpx.codes.OK:
            raise PackageIndexError(f"HTTP {reply.status_code} for package {package}")
        page = bytearray()
        async for chunk in reply.aiter_bytes():
            page += chunk
            if len(page) > _MAX_PAGE_BYTES:
                raise PackageIndexError(f"endless page for package {package}")
    parse = (
        _links_from_json if "json" in reply.headers.get("Content-Type", "") else _links_from_html
    )
    try:
        links = parse(page.decode())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PackageIndexError(f"unreadable page for package {package}: {error!r}") from None
    if file not in links:
        raise PackageIndexError(f"no file {file} in package {package}")
    found = links[file]
    return FileLink(url=urljoin(str(reply.url), found.url), sha256=found.sha256, size=found.size)


def _links_from_json(page: str) -> dict[str, FileLink]:
    return {
        file["filename"]: FileLink(
            url=file["url"], sha256=file["hashes"].get("sha256"), size=file.get("size")
        )
        for file in json.loads(page)["files"]
    }


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: dict[str, FileLink] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes a link to a file; its hash stands in the link's fragment."""
        href = dict(attrs).get("href")
        if tag == "a" and href:
            url, fragment = urldefrag(href)
            hashed = fragment.removeprefix("sha256=") if "sha256=" in fragment else None
            self.links[url.rpartition("/")[2]] = FileLink(url=url, sha256=hashed)


def _links_from_html(page: str) -> dict[str, FileLink]:
    anchors = _Anchors()
    anchors.feed(page)
    return anchors.links

"""Catalog entries over a loopback server, with a megabyte or three instead of a gigabyte."""

from __future__ import annotations

import hashlib
import io
import json
import random
import zipfile

from toolverifier.models.catalog import CatalogEntry
from toolverifier.models.download import HubSource, Network, WheelPart, WheelSource

from ..file_server import FileServer, Served

BODY = random.Random(7).randbytes(3_000_000)
HUB_PATH = "/someone/model/resolve/abc123/model.gguf"
PART_BYTES = 1_000_000
QUICK = Network(connect_timeout_s=2, stall_timeout_s=0.3, attempts=3, pause_s=0)

HUB = HubSource(repository="someone/model", revision="abc123", file="model.gguf")
WHEELS = WheelSource(
    parts=tuple(
        WheelPart(package=f"model-part{number}", member=f"model_part{number}/data/part.bin")
        for number in (1, 2, 3)
    ),
    version="1.0",
    part_bytes=PART_BYTES,
)


def entry_of(*sources: HubSource | WheelSource, sha256: str | None = None) -> CatalogEntry:
    return CatalogEntry(
        name="model",
        title="A model",
        licence="Apache-2.0",
        file="model.gguf",
        size=len(BODY),
        sha256=sha256 or hashlib.sha256(BODY).hexdigest(),
        sources=sources,
    )


def wheel(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def wheel_path(number: int) -> str:
    return f"/files/model_part{number}-1.0-py3-none-any.whl"


def add_wheel(
    server: FileServer, number: int, content: bytes, *, says: bytes | None = None
) -> None:
    """Puts a wheel and its page on the server; `says` is the content that the page's hash is of."""
    path = wheel_path(number)
    server.files[path] = Served(content)
    file = {
        "filename": path.rpartition("/")[2],
        "url": f"../..{path}",
        "hashes": {"sha256": hashlib.sha256(says or content).hexdigest()},
        "size": len(content),
    }
    server.files[f"/simple/model-part{number}/"] = Served(
        json.dumps({"files": [file]}).encode(), content_type="application/vnd.pypi.simple.v1+json"
    )


def add_wheels(server: FileServer) -> None:
    """Puts the three wheels that make up `BODY` on the server."""
    for number, part in enumerate(WHEELS.parts, start=1):
        piece = BODY[(number - 1) * PART_BYTES : number * PART_BYTES]
        add_wheel(
            server, number, wheel({f"model_part{number}/__init__.py": b"1/0", part.member: piece})
        )

"""A loopback server of files that can misbehave the way real ones do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What the server does for one path."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/octet-stream"
    ranges: bool = True
    content_range: str | None = None
    """What to say instead of the true range."""
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which each of the next replies breaks off."""
    hold_after: int | None = None
    """Bytes after which a reply waits until `FileServer.release` is set."""
    redirect: str | None = None


class FileServer(ThreadingHTTPServer):
    """Serves `files` by path, and notes every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        self.requests: list[tuple[str, str | None]] = []
        """Path and ``Range`` of every request, in order."""
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.requests.append((self.path, asked))
        served = self.server.files.get(self.path, Served(status=404))
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and served.ranges else 0
        if start and start >= len(served.body) and not served.redirect:
            self._begin(
                416, {"Content-Range": f"bytes */{len(served.body)}", "Content-Length": "0"}
            )
            return
        body = served.body[start:]
        headers = {"Content-Length": str(len(body)), "Content-Type": served.content_type}
        if served.redirect:
            headers["Location"] = served.redirect
        status = served.status
        if start and status == 200:
            status = 206
            true_range = f"bytes {start}-{len(served.body) - 1}/{len(served.body)}"
            headers["Content-Range"] = served.content_range or true_range
        self._begin(status, headers)
        if served.cut_after:
            self.wfile.write(body[: served.cut_after.pop(0)])
            self.close_connection = True
        elif served.hold_after is not None:
            self.wfile.write(body[: served.hold_after])
            self.server.release.wait(20)
            self._finish(body[served.hold_after :])
        else:
            self._finish(body)

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _finish(self, rest: bytes) -> None:
        try:
            self.wfile.write(rest)
        except ConnectionError:
            self.close_connection = True


@contextmanager
def serving() -> Iterator[FileServer]:
    """Runs a server while the block runs."""
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()
            thread.join()

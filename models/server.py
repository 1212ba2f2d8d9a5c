"""A server that speaks JSON over HTTP, asked with patience and believed in nothing."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import ssl
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from ..core import ModelError, UsageError
from ..tools.json_text import shortened
from .retry import RetryPolicy, TryAgain, retried, retry_after_s

Result = TypeVar("Result")

MAX_REPLY_BYTES = 32 * 1024 * 1024
"""Longer replies are refused; the longest honest ones hold log probabilities of long prompts."""

_PASSING = frozenset({408, 425, 429})
"""Statuses below 500 that may pass when asked again."""


class RefusedError(ModelError):
    """The server understood and said no; asking the same again cannot help."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_about_the_key(self) -> bool:
        """Whether the key is wrong or missing, which says nothing about what the server can do."""
        return self.status in (401, 403)


@dataclass(frozen=True, kw_only=True)
class _Connection:
    client: httpx.AsyncClient
    slots: asyncio.Semaphore
    held: AsyncGenerator[httpx.AsyncClient, None]
    """What keeps the client open; closing it closes the client."""
    under_way: dict[str, asyncio.Task[Any]] = field(default_factory=dict)
    """What is being found out, by its name."""


class Server:
    """One HTTP server below a base URL.

    Redirects are not followed, so the key goes nowhere else. The key is read from the environment for each request
    and is in no message. One instance serves several event loops, each over connections of its own, which are closed
    when the loop ends.

    Args:
        base_url: ``http`` or ``https``, without user, query or fragment.
        api_key_env: Name of the environment variable that holds the key; no key is sent where it is not set.
        timeout_s: Seconds that one attempt may take from connecting to the last byte.
        max_connections: Requests under way at once.
        retry: How often and how patiently to try again.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key_env: str,
        timeout_s: float,
        max_connections: int,
        retry: RetryPolicy,
    ) -> None:
        self._base = _checked_url(base_url)
        self._api_key_env = api_key_env
        self._timeout_s = timeout_s
        self._max_connections = max_connections
        self._retry = retry
        self._connections: dict[asyncio.AbstractEventLoop, _Connection] = {}
        self._closed = False

    @property
    def base_url(self) -> str:
        """The base URL without a slash at its end."""
        return self._base

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Returns the JSON value that the server answers with, after retries.

        Raises:
            RefusedError: the server said no for good (a redirect, or 4xx but for 408, 425 and 429).
            ModelError: no usable answer; the message names URL, reason and number of attempts.
            UsageError: the body cannot be sent as JSON.
        """
        return await retried(
            lambda: self._attempt("POST", path, body),
            policy=self._retry,
            what=f"POST {self._url(path)}",
        )

    async def get(self, path: str) -> Any:
        """As `post`, without a body."""
        return await retried(
            lambda: self._attempt("GET", path, None),
            policy=self._retry,
            what=f"GET {self._url(path)}",
        )

    async def ask_once(self, path: str, body: Mapping[str, Any]) -> Any:
        """As `post`, without retries and within 5 s: to find out what is there.

        Raises:
            RefusedError: as `post`.
            ModelError: no usable answer.
        """
        policy = RetryPolicy(attempts=1)
        timeout_s = min(self._timeout_s, 5.0)
        return await retried(
            lambda: self._attempt("POST", path, body, timeout_s=timeout_s),
            policy=policy,
            what=f"POST {self._url(path)}",
        )

    async def found_out(self, what: str, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Returns what `work` finds out; who asks for the same meanwhile waits for the same answer or error."""
        under_way = (await self._connection()).under_way
        if what not in under_way:

            def forget(task: asyncio.Task[Any]) -> None:
                del under_way[what]
                if not task.cancelled():
                    task.exception()  # Seen, also where nobody waits any more.

            under_way[what] = asyncio.create_task(work())
            under_way[what].add_done_callback(forget)
        # Who stops waiting does not take the answer from the others.
        result: Result = await asyncio.shield(under_way[what])
        return result

    async def aclose(self) -> None:
        """Closes this event loop's connections and refuses further requests; other loops close theirs when they end."""
        self._closed = True
        connection = self._connections.pop(asyncio.get_running_loop(), None)
        if connection is not None:
            await connection.held.aclose()

    def check_open(self) -> None:
        """Raises `ModelError` once the server was closed."""
        if self._closed:
            raise ModelError(f"the model at {self._base} is closed")

    def _url(self, path: str) -> str:
        """Paths that start with ``//`` count from the server's root, others from the base URL."""
        if path.startswith("//"):
            return self._base.removesuffix("/v1") + path[1:]
        return self._base + path

    async def _attempt(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        timeout_s: float | None = None,
    ) -> Any:
        self.check_open()
        url = self._url(path)
        content = None if body is None else _encoded(body)
        connection = await self._connection()
        seconds = self._timeout_s if timeout_s is None else timeout_s
        async with connection.slots:
            try:
                async with asyncio.timeout(seconds):
                    response, data = await self._exchange(connection.client, method, url, content)
            except (TimeoutError, httpx.TimeoutException):
                raise TryAgain(f"no complete answer within {seconds:g} s") from None
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                if "CERTIFICATE_VERIFY_FAILED" in str(error):
                    raise ModelError(f"{method} {url}: {_described(error)}") from None
                raise TryAgain(self._without_key(_described(error))) from None
        self._check_status(response, data, f"{method} {url}")
        return _decoded(data, f"{method} {url}")

    async def _exchange(
        self, client: httpx.AsyncClient, method: str, url: str, content: bytes | None
    ) -> tuple[httpx.Response, bytes]:
        request = client.build_request(method, url, content=content, headers=self._headers())
        response = await client.send(request, stream=True)
        data = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > MAX_REPLY_BYTES:
                    raise ModelError(
                        f"{method} {url}: the answer is longer than {MAX_REPLY_BYTES // 2**20} MiB"
                    )
        finally:
            await response.aclose()
        return response, bytes(data)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        key = self._key()
        if key:
            headers["Authorization"] = f"Bearer {key}"
        return headers

    def _key(self) -> str:
        key = os.environ.get(self._api_key_env, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise UsageError(f"the key in {self._api_key_env} has characters that no key has")
        return key

    def _without_key(self, text: str) -> str:
        key = self._key()
        return text.replace(key, f"[{self._api_key_env}]") if key else text

    def _check_status(self, response: httpx.Response, data: bytes, what: str) -> None:
        status = response.status_code
        if status == 200:
            return
        said = self._without_key(" ".join(data[:2000].decode("utf-8", "replace").split()))
        reason = f"the server answered {status}" + (
            f": {shortened(said, limit=300)}" if said else ""
        )
        if status in _PASSING or status >= 500:
            raise TryAgain(reason, after_s=retry_after_s(response.headers.get("Retry-After")))
        if 300 <= status < 400:
            reason = f"the server answered {status}, a redirect, which is not followed"
        if status == 401:
            reason += f" (the key is read from the environment variable {self._api_key_env})"
        raise RefusedError(f"{what}: {reason}", status=status)

    async def _connection(self) -> _Connection:
        loop = asyncio.get_running_loop()
        connection = self._connections.get(loop)
        if connection is None:
            for ended in [other for other in self._connections if other.is_closed()]:
                self._connections.pop(ended, None)
            held = _held_open(timeout_s=self._timeout_s, max_connections=self._max_connections)
            connection = _Connection(
                client=await anext(held),
                slots=asyncio.Semaphore(self._max_connections),
                held=held,
            )
            self._connections[loop] = connection
        return connection


async def _held_open(
    *, timeout_s: float, max_connections: int
) -> AsyncGenerator[httpx.AsyncClient, None]:
    """Yields one client. `asyncio.run` closes the generators that its loop has begun, and so this closes the client."""
    limits = httpx.Limits(max_connections=max_connections)
    client = httpx.AsyncClient(timeout=timeout_s, limits=limits, verify=_tls_context())
    try:
        yield client
    finally:
        await client.aclose()


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Returns the one context for all connections; making one takes 20 ms."""
    return httpx.create_ssl_context()


def _checked_url(text: str) -> str:
    """Returns the URL without a slash at its end; a URL without a path gets ``/v1``, where these servers speak."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, TypeError) as error:
        raise UsageError(f"base_url {text!r}: {error}") from None
    if url.userinfo or url.query or url.fragment:
        raise UsageError(
            "base_url: user, password, query and fragment do not belong here; the key goes into an environment variable"
        )
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError(f"base_url {text!r}: give http:// or https:// and a host")
    bare = str(url).rstrip("/")
    return bare if url.path.strip("/") else f"{bare}/v1"


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"the request cannot be sent as JSON: {error}") from None


def _decoded(data: bytes, what: str) -> Any:
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        start = data[:60].decode("utf-8", "replace")
        raise ModelError(f"{what}: the answer is not JSON ({error}); it starts {start!r}") from None


def _described(error: Exception) -> str:
    text = str(error) or "no details"
    if isinstance(error, httpx.ConnectError):
        return f"cannot connect: {text}"
    return f"the connection broke: {text}"

"""Which network addresses a tool may reach, and one bounded exchange with such an address.

The exchange goes through a transport and not through an `httpx.AsyncClient`: a client would take
proxies from the environment (which resolve names themselves and so get around the address check),
keep cookies, and log every URL with the secrets in its query.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from ..core import ToolError
from .threads import run_in_thread

if TYPE_CHECKING:
    import ssl

MAX_REDIRECTS = 5
MAX_REPLY_BYTES = 2_000_000
_CONNECT_TIMEOUT_S = 10.0
"""Per address, so that an address that swallows packets leaves time for the next one."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, the preferred one first; raises `OSError` where there is none."""

# Written out (IANA special-purpose registries), because what `ipaddress` calls global differs
# between Python releases. 168.63.129.16 looks public and is Azure's machine-local service.
_REFUSED_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Only this block is handed out as global unicast: loopback, link-local, unique local, multicast,
# IPv4-mapped and NAT64 addresses all lie outside.
_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


def is_public(address: Address) -> bool:
    """Whether the address is a host on the public internet.

    False for private, loopback, link-local, multicast, reserved and carrier-grade NAT addresses, and for
    IPv6 addresses that carry an IPv4 address (mapped, 6to4, Teredo, NAT64), whatever that one is.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    return address in _UNICAST_V6 and not any(address in network for network in _REFUSED_V6)


def literal_address(host: str) -> Address | None:
    """Returns the address that the host is written as, in any form that resolvers take (``0x7f.1``), or None."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError, ValueError):
        return None


async def resolve(host: str, port: int) -> list[str]:
    """Asks the system for the host's addresses, without blocking the event loop."""
    ask = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await run_in_thread(ask)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class CheckedTransport(httpx.AsyncBaseTransport):
    """Resolves a request's host, checks every address, and connects to one of those very addresses.

    Because the connection is made to the checked address and the name is not resolved again, a name
    server that changes its answer in between (DNS rebinding) gains nothing. The ``Host`` header and the
    name in the TLS handshake, against which the certificate is checked, stay those of the URL.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        *,
        allow_private: bool,
        resolve: Resolve = resolve,
    ) -> None:
        self._inner = inner
        self._allow_private = allow_private
        self._resolve = resolve

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends the request.

        Raises:
            ToolError: the host has no address, or one that may not be reached.
            httpx.TransportError: no address could be connected to, or the exchange failed.
        """
        host = request.url.raw_host.decode("ascii")
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError):
            raise ToolError(f"the host {host!r} has no address") from None
        if not self._allow_private:
            for address in addresses:
                if not is_public(ipaddress.ip_address(address)):
                    raise ToolError(
                        f"the host {host!r} has the address {address}, which is not on the public internet;"
                        " this tool may not reach it"
                    )
        failure: httpx.TransportError = httpx.ConnectError("no address")
        for address in addresses:
            try:
                return await self._inner.handle_async_request(_at_address(request, address, host))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure

    async def aclose(self) -> None:
        """Closes the transport that does the sending."""
        await self._inner.aclose()


def _at_address(request: httpx.Request, address: str, host: str) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={"timeout": {"connect": _CONNECT_TIMEOUT_S}, "sni_hostname": host},
    )


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def open_transport(*, allow_private: bool) -> httpx.AsyncBaseTransport:
    """Returns a transport for one call; connections are not kept, so each name gets its own handshake."""
    inner = httpx.AsyncHTTPTransport(
        verify=_ssl_context(),
        trust_env=False,
        limits=httpx.Limits(max_keepalive_connections=0),
    )
    return CheckedTransport(inner, allow_private=allow_private)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a server answered in the end."""

    method: str
    url: httpx.URL
    status: int
    reason: str
    content_type: str
    """Lower case, without parameters; empty where the server named none."""
    charset: str
    body: bytes
    """Decompressed."""


PLAIN_HEADERS = {
    "Accept": "application/json, text/*;q=0.9, */*;q=0.5",
    "Accept-Encoding": "gzip",
    "User-Agent": "toolverifier",
}
"""Sent with every request, and alone after a redirect to another origin."""


async def fetch(request: httpx.Request, *, transport: httpx.AsyncBaseTransport) -> Reply:
    """Sends the request, follows its redirects, and reads the reply up to `MAX_REPLY_BYTES`.

    Raises:
        ToolError: too many redirects or a forbidden one, or the reply is too large.
        httpx.HTTPError: the exchange failed.
    """
    for _ in range(MAX_REDIRECTS + 1):
        response = await transport.handle_async_request(request)
        try:
            if not response.has_redirect_location:
                return Reply(
                    method=request.method,
                    url=request.url,
                    status=response.status_code,
                    reason=response.reason_phrase,
                    content_type=response.headers.get("Content-Type", "")
                    .split(";")[0]
                    .strip()
                    .lower(),
                    charset=response.charset_encoding or "utf-8",
                    body=await _read(response),
                )
            request = _redirected(request, response.headers["Location"], response.status_code)
        finally:
            await response.aclose()
    raise ToolError(f"the server redirected more than {MAX_REDIRECTS} times")


def _redirected(request: httpx.Request, location: str, status: int) -> httpx.Request:
    try:
        url = request.url.join(location)
    except httpx.InvalidURL as error:
        raise ToolError(f"the server redirected to a broken URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ToolError(f"the server redirected to {url.scheme!r}, which is not followed")
    same_origin = (url.scheme, url.host, url.port) == (
        request.url.scheme,
        request.url.host,
        request.url.port,
    )
    becomes_get = {301: ("POST",), 302: ("POST",), 303: ("POST", "PUT", "PATCH", "DELETE")}
    keeps_method = request.method not in becomes_get.get(status, ())
    content = request.content if keeps_method else b""
    if content and not same_origin:
        raise ToolError(
            f"the server redirected a {request.method} with its body to {url.host!r}; it is not sent there"
        )
    headers = httpx.Headers(PLAIN_HEADERS)
    if same_origin:
        headers = request.headers.copy()
        for name in ("Host", "Content-Length", *(() if content else ("Content-Type",))):
            headers.pop(name, None)
    method = request.method if keeps_method else "GET"
    return httpx.Request(method, url, headers=headers, content=content or None)


async def _read(response: httpx.Response) -> bytes:
    """Returns the body; neither it nor what it decompresses to ever takes more than the limit in memory."""
    too_large = ToolError(
        f"the reply is larger than {MAX_REPLY_BYTES // 1_000_000} MB; ask for less"
    )
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_REPLY_BYTES:
            raise too_large
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity" or not body:
        return bytes(body)
    if encoding not in ("gzip", "x-gzip"):
        raise ToolError(f"the reply is compressed as {encoding!r}, which was not asked for")
    decompressor = zlib.decompressobj(wbits=31)
    try:
        plain = decompressor.decompress(body, MAX_REPLY_BYTES + 1)
    except zlib.error:
        plain = b""
    if len(plain) > MAX_REPLY_BYTES:
        raise too_large
    if not decompressor.eof:
        raise ToolError("the reply is not the gzip data that it says it is")
    return plain

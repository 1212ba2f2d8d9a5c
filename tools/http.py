"""The ``http`` binding: a tool's call as one HTTP request.

A binding as JSON::

    {"type": "http", "method": "GET", "url": "https://api.example.com/v1/{city}?units=metric",
     "query": ["days"], "headers": {"Authorization": "Bearer ${env:API_KEY}"}, "timeout_s": 10}

``url``, ``query``, ``headers``, and ``json`` or ``form`` say where each argument goes: ``{name}`` stands
for an argument and ``${env:NAME}`` for a secret from the environment. ``query``, ``json`` and ``form`` are
objects of templates and constants, or lists of arguments that go there under their own names. Arguments
that are named nowhere go to the body where there is one (``json``, ``form``, or the methods POST, PUT and
PATCH), otherwise to the query. An argument never changes scheme, host or port.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from reprlib import repr as short
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import httpx

from ..core import Problem, ToolError
from .network import PLAIN_HEADERS, Reply, fetch, is_public, literal_address, open_transport
from .spec import ToolSpec
from .templates import (
    argument_names,
    as_text,
    fill,
    fill_text,
    is_filled,
    read_secrets,
    redact,
    secret_names,
    template_problems,
)
from .tool import Run

_METHODS = ("GET", "HEAD", "DELETE", "POST", "PUT", "PATCH")
_KEYS = ("type", "method", "url", "query", "headers", "json", "form", "timeout_s")
_DEFAULT_TIMEOUT_S = 30.0
_MAX_TIMEOUT_S = 600.0
_SHOWN_ERROR_CHARS = 500
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}
"""Headers that the exchange itself depends on."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TEXT_TYPE = re.compile(
    r"(text/.*|application/(json|xml|yaml|x-ndjson|javascript|x-www-form-urlencoded|.*\+(json|xml)))?"
)
_PATH_SAFE = "/:@!$&'()*+,;=~%{}"


@dataclass(frozen=True, kw_only=True)
class HttpBinding:
    """A checked ``http`` binding; templates are not filled yet."""

    method: str
    origin: str
    """Scheme, host and port, without a slash at the end."""
    path: str
    query: dict[str, Any]
    headers: dict[str, str]
    body: dict[str, Any] | None
    """None where the request has no body of its own."""
    encoding: str
    """``json`` or ``form``."""
    timeout_s: float

    def names(self, of: Callable[[Any], frozenset[str]]) -> frozenset[str]:
        """Returns the union of `of` over every template."""
        return frozenset().union(*map(of, (self.path, self.query, self.headers, self.body)))


def parse_http(
    spec: ToolSpec, binding: dict[str, Any], *, path: str, allow_private_hosts: bool
) -> HttpBinding | list[Problem]:
    """Returns the checked binding, or everything that is wrong with it."""
    problems = [
        Problem(
            path=f"{path}.{key}", message=f"unknown key; an http binding has {', '.join(_KEYS)}"
        )
        for key in binding
        if key not in _KEYS
    ]
    method = binding.get("method", "GET")
    if method not in _METHODS:
        message = f"{short(method)} is not one of {', '.join(_METHODS)}"
        problems.append(Problem(path=f"{path}.method", message=message))
    timeout_s = binding.get("timeout_s", _DEFAULT_TIMEOUT_S)
    if not _is_number(timeout_s) or not 0 < timeout_s <= _MAX_TIMEOUT_S:
        message = (
            f"{short(timeout_s)} is not a number of seconds above 0, at most {_MAX_TIMEOUT_S:g}"
        )
        problems.append(Problem(path=f"{path}.timeout_s", message=message))
    url = binding.get("url")
    origin, url_path, url_query = "", "", ""
    url_problems = _url_problems(spec, url, path=f"{path}.url", allow_private=allow_private_hosts)
    if url_problems:
        problems += url_problems
    else:
        parts = urlsplit(str(url))
        origin, url_path, url_query = f"{parts.scheme}://{parts.netloc}", parts.path, parts.query
    in_url = parse_qs(url_query, keep_blank_values=True)
    query = {name: texts if len(texts) > 1 else texts[0] for name, texts in in_url.items()}
    query |= _placed(spec, binding, "query", path=path, problems=problems)
    headers = _headers(spec, binding.get("headers", {}), path=f"{path}.headers", problems=problems)
    body: dict[str, Any] | None = None
    encodings = [encoding for encoding in ("json", "form") if encoding in binding]
    for encoding in encodings:
        body = _placed(spec, binding, encoding, path=path, problems=problems)
        if method in ("GET", "HEAD"):
            message = f"a {method} request has no body; use query"
            problems.append(Problem(path=f"{path}.{encoding}", message=message))
    if len(encodings) == 2:
        problems.append(
            Problem(path=f"{path}.form", message="a request has json or form, not both")
        )
    return problems or HttpBinding(
        method=method,
        origin=origin,
        path=url_path or "/",
        query=query,
        headers=headers,
        body={} if body is None and method in ("POST", "PUT", "PATCH") else body,
        encoding=encodings[0] if encodings else "json",
        timeout_s=timeout_s,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _url_problems(spec: ToolSpec, url: Any, *, path: str, allow_private: bool) -> list[Problem]:
    if not isinstance(url, str) or re.search(r"\s", url) or _CONTROL.search(url):
        return [
            Problem(path=path, message=f"{short(url)} is not a URL; white space is written %20")
        ]
    if re.match(r"[^/?#]*(//)?[^/?#]*[{}$\\]", url):
        message = "scheme, host and port are fixed; placeholders stand in path and query only"
        return [Problem(path=path, message=message)]
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        httpx.URL(f"{parts.scheme}://{parts.netloc}")
    except (ValueError, httpx.InvalidURL) as error:
        return [Problem(path=path, message=f"{url!r} is not a URL: {error}")]
    messages = []
    if parts.scheme not in ("http", "https") or not host:
        messages.append(f"{url!r} does not begin with http:// or https:// and a host")
    if "@" in parts.netloc:
        messages.append("the URL holds a user name; use an Authorization header with ${env:NAME}")
    if parts.fragment:
        messages.append("the part after '#' is never sent; leave it out")
    if _has_dot_segment(parts.path):
        messages.append("the path has a '.' or '..' segment")
    address = literal_address(host)
    local = (
        host == "localhost" or host.endswith(".localhost") or (address and not is_public(address))
    )
    if local and not allow_private:
        messages.append(
            f"{host!r} is not on the public internet; loading with allow_private_hosts permits it"
        )
    messages += [
        f"the path needs the argument {name!r}, so it must be required"
        for name in sorted(argument_names(parts.path) & spec.properties.keys() - spec.required)
    ]
    problems = [Problem(path=path, message=message) for message in messages]
    return problems + template_problems(parts.path + "?" + parts.query, spec.properties, path=path)


def _placed(
    spec: ToolSpec, binding: dict[str, Any], key: str, *, path: str, problems: list[Problem]
) -> dict[str, Any]:
    """Returns a place's templates by the names that they are sent under."""
    value = binding.get(key, {})
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        value = {name: f"{{{name}}}" for name in value}
    if not isinstance(value, dict):
        message = f"{short(value)} is neither an object nor a list of argument names"
        problems.append(Problem(path=f"{path}.{key}", message=message))
        return {}
    problems += template_problems(value, spec.properties, path=f"{path}.{key}")
    return value


def _headers(spec: ToolSpec, value: Any, *, path: str, problems: list[Problem]) -> dict[str, str]:
    if not isinstance(value, dict):
        problems.append(Problem(path=path, message=f"{short(value)} is not an object"))
        return {}
    for name, template in value.items():
        message = None
        if not _HEADER_NAME.fullmatch(name):
            message = f"{name!r} is not the name of a header"
        elif name.lower() in _OWN_HEADERS:
            message = f"{name!r} is set by the library"
        elif not isinstance(template, str) or _CONTROL.search(template):
            message = f"{short(template)} is not the text of a header"
        if message:
            problems.append(Problem(path=f"{path}.{name}", message=message))
    problems += template_problems(value, spec.properties, path=path)
    return value


def build_request(
    binding: HttpBinding, arguments: Mapping[str, Any], secrets: Mapping[str, str]
) -> httpx.Request:
    """Returns the request that a call stands for.

    Raises:
        ToolError: an argument cannot be sent where the binding puts it.
    """
    placed = binding.names(argument_names)
    rest = {name: value for name, value in arguments.items() if name not in placed}
    query: dict[str, Any] = fill(binding.query, arguments, secrets)
    body: dict[str, Any] | None = None
    if binding.body is None:
        query |= rest
    else:
        body = fill(binding.body, arguments, secrets) | rest
    try:
        url = binding.origin + _path(binding.path, arguments, secrets)
        if query:
            url += "?" + urlencode(_pairs(query), quote_via=quote, safe="")
        headers = httpx.Headers(PLAIN_HEADERS)
        headers.update(_sent_headers(binding.headers, arguments, secrets))
        if not body:
            return httpx.Request(binding.method, url, headers=headers)
        if binding.encoding == "json":
            return httpx.Request(binding.method, url, headers=headers, json=body)
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        content = urlencode(_pairs(body))
        return httpx.Request(binding.method, url, headers=headers, content=content)
    except (UnicodeError, ValueError, httpx.InvalidURL) as error:
        raise ToolError(f"an argument cannot be sent: {error}", kind="invalid_arguments") from None


def _path(template: str, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> str:
    for name in argument_names(template):
        if as_text(arguments[name]) == "":
            message = f"the argument {name!r} goes into a path and may not be empty"
            raise ToolError(message, kind="invalid_arguments")
    path = fill_text(
        quote(template, safe=_PATH_SAFE),
        arguments,
        secrets,
        encode=lambda text: quote(text, safe=""),
    )
    if _has_dot_segment(path):
        message = "an argument goes into a path and may hold no '.' or '..' segment"
        raise ToolError(message, kind="invalid_arguments")
    return path


def _has_dot_segment(path: str) -> bool:
    """Whether a server that decodes before it splits would climb out of the path."""
    return any(segment in (".", "..") for segment in re.split(r"[/\\]", unquote(path)))


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns names and texts for a query or a form; a list repeats its name, null is left out."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        items = value if isinstance(value, list) else [value]
        pairs += [(name, as_text(item)) for item in items if item is not None]
    return pairs


def _sent_headers(
    templates: Mapping[str, str], arguments: Mapping[str, Any], secrets: Mapping[str, str]
) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for name, template in templates.items():
        if is_filled(template, arguments):
            text = fill_text(template, arguments, secrets).strip()
            if _CONTROL.search(text):
                message = (
                    f"the header {name!r} would hold a line break or another control character"
                )
                raise ToolError(message, kind="invalid_arguments")
            headers[name.encode()] = text.encode()
    return headers


def http_run(
    binding: HttpBinding, *, open_transport: Callable[[], httpx.AsyncBaseTransport]
) -> Run:
    """Returns what runs a call; every call opens its own transport and closes it."""
    names = binding.names(secret_names)

    async def run(arguments: dict[str, Any]) -> str:
        secrets = read_secrets(names)
        try:
            request = build_request(binding, arguments, secrets)
            async with asyncio.timeout(binding.timeout_s), open_transport() as transport:
                return redact(
                    _result(await fetch(request, transport=transport), secrets), secrets.values()
                )
        except TimeoutError:
            message = f"no whole reply within {binding.timeout_s:g} s"
            raise ToolError(message, kind="timeout") from None
        except httpx.HTTPError as error:
            message = f"the request failed: {type(error).__name__}: {error}"
            raise ToolError(redact(message, secrets.values())) from None
        except ToolError as error:
            raise ToolError(redact(error.message, secrets.values()), kind=error.kind) from None

    return run


def bind_http(
    spec: ToolSpec, binding: dict[str, Any], *, path: str, allow_private_hosts: bool
) -> Run | list[Problem]:
    """Returns what runs the tool's calls over HTTP, or everything that is wrong with the binding."""
    parsed = parse_http(spec, binding, path=path, allow_private_hosts=allow_private_hosts)
    if isinstance(parsed, list):
        return parsed
    return http_run(
        parsed, open_transport=lambda: open_transport(allow_private=allow_private_hosts)
    )


def _result(reply: Reply, secrets: Mapping[str, str]) -> str:
    """Returns the reply as text.

    Raises:
        ToolError: the status is not 2xx.
    """
    status = f"HTTP {reply.status} {reply.reason}".strip()
    content = _content(reply)
    if 200 <= reply.status < 300:
        return content or f"{status}, without a body"
    # Redacted before it is cut, because half a secret would not be recognised.
    shown = redact(content, secrets.values())[:_SHOWN_ERROR_CHARS]
    where = f"{reply.method} {reply.url.copy_with(query=None)}"
    raise ToolError(f"{status} from {where}" + (f": {shown}" if shown else ""))


def _content(reply: Reply) -> str:
    is_text = _TEXT_TYPE.fullmatch(reply.content_type) and b"\0" not in reply.body[:1000]
    if not is_text and reply.body:
        return f"({reply.content_type or 'data of no stated type'}, {len(reply.body)} bytes, not shown)"
    try:
        return reply.body.decode(reply.charset)
    except (LookupError, ValueError):
        return reply.body.decode("utf-8", errors="replace")

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from toolverifier.core import ToolError, ToolLibraryError
from toolverifier.tools.bindings import bind
from toolverifier.tools.spec import ToolSpec
from toolverifier.tools.toolset import Toolset


@dataclass(frozen=True)
class Received:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)


@dataclass(frozen=True)
class Server:
    url: str
    received: list[Received]


def reply(
    body: bytes | str = "ok",
    *,
    status: str = "200 OK",
    content_type: str = "text/plain",
    more: str = "",
) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(data)}\r\n{more}\r\n"
    return head.encode() + data


@contextlib.asynccontextmanager
async def serving(answer: Callable[[Received], bytes]) -> AsyncIterator[Server]:
    """A server on loopback that answers each connection once; empty bytes mean no answer at all."""
    received: list[Received] = []
    waiting: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): text for name, text in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        received.append(Received(method, target, headers, body))
        data = answer(received[-1])
        if not data:
            waiting.append(writer)
            return
        writer.write(data)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield Server(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", received)
    finally:
        for writer in waiting:
            writer.close()
        server.close()
        await server.wait_closed()


def tool(**arguments: Any) -> ToolSpec:
    """A spec whose arguments are all required where their schema says so."""
    required = [name for name, schema in arguments.items() if schema.pop("required", False)]
    parameters = {"type": "object", "properties": arguments, "required": required}
    return ToolSpec(name="t", description="A tool.", parameters=parameters)


def required() -> dict[str, Any]:
    return {"type": "string", "required": True}


async def call(spec: ToolSpec, binding: dict[str, Any], arguments: dict[str, Any]) -> str:
    run = bind(spec, {"type": "http"} | binding, path="$", allow_private_hosts=True)
    assert not isinstance(run, list), run
    return await run(arguments)


async def failure(spec: ToolSpec, binding: dict[str, Any], arguments: dict[str, Any]) -> ToolError:
    with pytest.raises(ToolError) as caught:
        await call(spec, binding, arguments)
    return caught.value


async def test_a_tool_that_came_as_json_is_called_over_http() -> None:
    async with serving(lambda _: reply("sunny")) as server:
        document = {
            "name": "weather",
            "description": "Tells the weather.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
            "binding": {"type": "http", "url": server.url + "/{city}"},
        }
        loaded = Toolset.from_json([document], allow_private_hosts=True).get("weather")
        assert loaded is not None
        assert loaded.run is not None
        assert await loaded.run({"city": "Oslo"}) == "sunny"
        with pytest.raises(ToolLibraryError) as caught:
            Toolset.from_json([document])
    assert [problem.path for problem in caught.value.problems] == ["$[0].binding.url"]


async def test_arguments_go_to_the_path_and_the_rest_to_the_query_of_a_get() -> None:
    spec = tool(city=required(), days={}, tags={}, near={}, exact={})
    async with serving(lambda _: reply("sunny")) as server:
        binding = {"url": f"{server.url}/v1/{{city}}?units=metric&a=1&a=2"}
        arguments = {
            "city": "São Paulo/..x?#",
            "days": 3,
            "tags": ["a b", "c&d"],
            "near": {"lat": 1.5},
            "exact": True,
        }
        assert await call(spec, binding, arguments) == "sunny"
    [got] = server.received
    assert (got.method, got.path) == ("GET", "/v1/S%C3%A3o%20Paulo%2F..x%3F%23")
    assert got.query == [
        ("units", "metric"),
        ("a", "1"),
        ("a", "2"),
        ("days", "3"),
        ("tags", "a b"),
        ("tags", "c&d"),
        ("near", '{"lat":1.5}'),
        ("exact", "true"),
    ]
    assert got.headers["host"] == server.url.removeprefix("http://")


async def test_the_rest_goes_to_a_json_body_with_its_types_in_a_post() -> None:
    spec = tool(id=required(), count={}, on={}, gone={})
    async with serving(
        lambda _: reply(json.dumps({"made": 1}), content_type="application/json")
    ) as server:
        binding = {"method": "POST", "url": server.url + "/items/{id}", "query": ["on"]}
        arguments = {"id": "7", "count": 2.5, "on": False, "gone": None}
        assert await call(spec, binding, arguments) == '{"made": 1}'
    [got] = server.received
    assert (got.method, got.target) == ("POST", "/items/7?on=false")
    assert got.headers["content-type"] == "application/json"
    assert json.loads(got.body) == {"count": 2.5, "gone": None}


async def test_json_templates_keep_types_and_leave_out_what_is_not_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY", "s3cret")
    spec = tool(text={}, limit={}, other={})
    template = {
        "key": "${env:KEY}",
        "query": {"q": "find {text}", "limit": "{limit}", "other": "{other}"},
        "list": ["{text}", "{other}", 1],
        "on": True,
    }
    async with serving(lambda _: reply()) as server:
        binding = {"method": "PUT", "url": server.url, "json": template}
        await call(spec, binding, {"text": "x", "limit": 3})
    assert json.loads(server.received[0].body) == {
        "key": "s3cret",
        "query": {"q": "find x", "limit": 3},
        "list": ["x", 1],
        "on": True,
    }


async def test_a_form_is_url_encoded_and_takes_the_rest() -> None:
    spec = tool(a={}, b={})
    async with serving(lambda _: reply()) as server:
        await call(
            spec, {"method": "POST", "url": server.url, "form": []}, {"a": "x&y z", "b": [1, 2]}
        )
        await call(spec, {"method": "POST", "url": server.url, "form": {"c": "{a}"}}, {})
    assert server.received[0].body == b"a=x%26y+z&b=1&b=2"
    assert server.received[0].headers["content-type"] == "application/x-www-form-urlencoded"
    assert server.received[1].body == b""


async def test_headers_take_secrets_and_arguments_and_are_left_out_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("API_KEY", " k3y\n")
    spec = tool(lang={})
    async with serving(lambda _: reply()) as server:
        headers = {
            "Authorization": "Bearer ${env:API_KEY}",
            "X-Lang": "{lang}",
            "accept": "text/csv",
        }
        binding = {"url": server.url, "headers": headers}
        await call(spec, binding, {"lang": "português"})
        await call(spec, binding, {})
    first, second = (got.headers for got in server.received)
    assert first["authorization"] == "Bearer k3y"
    assert first["x-lang"].encode("latin-1").decode() == "português"
    assert first["accept"] == "text/csv"
    assert "x-lang" not in second


async def test_a_secret_that_is_not_set_is_named_and_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    async with serving(lambda _: reply()) as server:
        binding = {"url": server.url + "?key=${env:NOT_SET}"}
        error = await failure(tool(), binding, {})
    assert error.message == "this tool needs the environment variable 'NOT_SET', which is not set"
    assert server.received == []


async def test_secrets_that_the_server_echoes_are_redacted_in_results_and_errors(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = 'p/w "ü&+='
    monkeypatch.setenv("KEY", secret)
    caplog.set_level(0)

    def echo(got: Received) -> bytes:
        status = "200 OK" if got.path == "/ok" else "403 Forbidden"
        text = f"{got.target} {dict(got.query)['key']} {json.dumps(secret)} {'x' * 470}{secret}"
        return reply(text, status=status)

    async with serving(echo) as server:
        text = await call(tool(), {"url": server.url + "/ok?key=${env:KEY}"}, {})
        error = await failure(tool(), {"url": server.url + "/no/${env:KEY}?key=${env:KEY}"}, {})
    assert text == f'/ok?key=[secret] [secret] "[secret]" {"x" * 470}[secret]'
    assert error.message.startswith(
        f"HTTP 403 Forbidden from GET {server.url}/no/[secret]: /no/[secret]?"
    )
    for shown in (error.message, *(record.getMessage() for record in caplog.records)):
        assert "p/w" not in shown
        assert "p%2Fw" not in shown
    assert error.__cause__ is None


async def test_a_status_that_is_not_2xx_is_an_error_with_the_start_of_the_body() -> None:
    async with serving(lambda _: reply("no such city " * 100, status="404 Not Found")) as server:
        error = await failure(tool(q={}), {"url": server.url + "/find"}, {"q": "secretly asked"})
    shown = ("no such city " * 100)[:500]
    assert error.message == f"HTTP 404 Not Found from GET {server.url}/find: {shown}"
    assert error.kind == "execution"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (reply("é".encode("latin-1"), content_type="text/html; charset=latin-1"), "é"),
        (reply("é", content_type="text/plain; charset=no-such"), "é"),
        (reply("é", content_type="text/plain; charset=hex"), "é"),
        (reply(b"\xff", content_type="application/problem+json"), "\ufffd"),
        (reply(b"abc", content_type=""), "abc"),
        (reply(b"\x89PNG\0", content_type="image/png"), "(image/png, 5 bytes, not shown)"),
        (reply(b"\0\1", content_type=""), "(data of no stated type, 2 bytes, not shown)"),
        (
            reply(b"", status="204 No Content", content_type=""),
            "HTTP 204 No Content, without a body",
        ),
        (reply(gzip.compress(b"packed"), more="Content-Encoding: gzip\r\n"), "packed"),
    ],
)
async def test_a_reply_becomes_text_or_is_described(data: bytes, expected: str) -> None:
    async with serving(lambda _: data) as server:
        assert await call(tool(), {"url": server.url}, {}) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (reply(b"x" * 2_000_001), "the reply is larger than 2 MB; ask for less"),
        (
            reply(gzip.compress(b"x" * 50_000_000), more="Content-Encoding: gzip\r\n"),
            "the reply is larger than 2 MB; ask for less",
        ),
        (
            reply(b"x", more="Content-Encoding: br\r\n"),
            "the reply is compressed as 'br', which was not asked for",
        ),
        (
            reply(b"not gzip", more="Content-Encoding: gzip\r\n"),
            "the reply is not the gzip data that it says it is",
        ),
        (
            reply(gzip.compress(b"x" * 99)[:-9], more="Content-Encoding: gzip\r\n"),
            "the reply is not the gzip data that it says it is",
        ),
    ],
)
async def test_a_reply_that_is_too_large_or_wrongly_packed_is_an_error(
    data: bytes, message: str
) -> None:
    async with serving(lambda _: data) as server:
        assert (await failure(tool(), {"url": server.url}, {})).message == message


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 99999 ?\r\n\r\n",
    ],
)
async def test_a_broken_reply_is_one_clear_error(data: bytes) -> None:
    async with serving(lambda _: data) as server:
        error = await failure(tool(), {"url": server.url}, {})
    assert error.message.startswith("the request failed: RemoteProtocolError: ")


async def test_a_server_that_does_not_answer_costs_the_time_limit() -> None:
    async with serving(lambda _: b"") as server:
        error = await failure(tool(), {"url": server.url, "timeout_s": 0.05}, {})
    assert (error.kind, error.message) == ("timeout", "no whole reply within 0.05 s")


async def test_a_server_that_is_not_there_is_one_clear_error() -> None:
    async with serving(lambda _: b"") as server:
        pass
    assert (await failure(tool(), {"url": server.url}, {})).message.startswith(
        "the request failed: ConnectError: "
    )


def redirecting(status: str, location: str) -> Callable[[Received], bytes]:
    def answer(got: Received) -> bytes:
        if got.path == "/end":
            return reply("arrived")
        return reply("", status=status, more=f"Location: {location}\r\n")

    return answer


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        ("301 M", "GET", "GET"),
        ("302 F", "POST", "GET"),
        ("303 S", "PUT", "GET"),
        ("303 S", "HEAD", "HEAD"),
        ("307 T", "POST", "POST"),
        ("308 P", "DELETE", "DELETE"),
    ],
)
async def test_a_redirect_on_the_same_origin_keeps_headers_and_the_body_where_the_method_stays(
    status: str, method: str, then: str
) -> None:
    async with serving(redirecting(status, "/end?x=1")) as server:
        binding = {"method": method, "url": server.url, "headers": {"X-Key": "k"}}
        await call(tool(a={}), binding, {"a": 1})
    first, second = server.received
    assert (second.method, second.target) == (then, "/end?x=1")
    assert second.headers["x-key"] == "k"
    assert second.body == (first.body if then == method else b"")
    assert ("content-type" in second.headers) == bool(second.body)


async def test_a_redirect_to_another_origin_gets_neither_headers_nor_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY", "k3y")
    async with serving(lambda _: reply("arrived")) as other:
        for status in ("302 F", "307 T"):
            async with serving(redirecting(status, other.url + "/end")) as server:
                headers = {"X-Key": "${env:KEY}", "Authorization": "{a}"}
                assert (
                    await call(tool(a={}), {"url": server.url, "headers": headers}, {"a": "x"})
                    == "arrived"
                )
                binding = {"method": "POST", "url": server.url, "headers": headers}
                arguments = {"a": "x", "b": 1}
                if status == "302 F":
                    assert await call(tool(a={}, b={}), binding, arguments) == "arrived"
                else:
                    error = await failure(tool(a={}, b={}), binding, arguments)
                    assert error.message == (
                        "the server redirected a POST with its body to '127.0.0.1'; it is not sent there"
                    )
    for got in other.received:
        assert got.headers.keys() == {"host", "accept", "accept-encoding", "user-agent"}
        assert (got.method, got.body) == ("GET", b"")
    assert len(other.received) == 3


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("/again", "the server redirected more than 5 times"),
        ("ftp://127.0.0.1/x", "the server redirected to 'ftp', which is not followed"),
        ("file:///etc/passwd", "the server redirected to 'file', which is not followed"),
        ("https:///x", "the server redirected to 'https', which is not followed"),
        ("http://[::1/", "the server redirected to a broken URL: Invalid port: ':1'"),
    ],
)
async def test_redirects_without_end_or_to_another_scheme_are_errors(
    location: str, message: str
) -> None:
    async with serving(redirecting("302 Found", location)) as server:
        error = await failure(tool(), {"url": server.url}, {})
    assert error.message == message
    assert len(server.received) <= 6


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(lambda _: reply("direct")) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        assert await call(tool(), {"url": server.url}, {}) == "direct"


@pytest.mark.parametrize("value", ["..", ".", "a/../b", r"a\..\b", "", "%2e%2e/.."])
async def test_an_argument_cannot_climb_out_of_its_place_in_the_path(value: str) -> None:
    async with serving(lambda _: reply()) as server:
        error = await failure(
            tool(id=required()), {"url": server.url + "/items/{id}"}, {"id": value}
        )
    assert error.kind == "invalid_arguments"
    assert server.received == []


async def test_dots_of_template_and_argument_together_cannot_climb_either() -> None:
    error = await failure(tool(a=required()), {"url": "http://127.0.0.1/.{a}/x"}, {"a": "."})
    assert error.message == "an argument goes into a path and may hold no '.' or '..' segment"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "\x7f."])
async def test_an_argument_cannot_add_a_header(value: str) -> None:
    binding = {"url": "http://127.0.0.1/", "headers": {"X-A": "{a}"}}
    error = await failure(tool(a={}), binding, {"a": value})
    assert error.message == "the header 'X-A' would hold a line break or another control character"


@pytest.mark.parametrize("arguments", [{"q": "\ud800"}, {"q": "x" * 70_000}])
async def test_an_argument_that_no_url_can_hold_is_an_error(arguments: dict[str, Any]) -> None:
    error = await failure(tool(q={}), {"url": "http://127.0.0.1/"}, arguments)
    assert error.kind == "invalid_arguments"
    assert error.message.startswith("an argument cannot be sent: ")

"""Servers that hang, drop, lie and babble: each costs one clear `ModelError`, and the key never shows."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from toolverifier.core import ModelError, UsageError
from toolverifier.models import (
    OpenAIModel,
    RetryPolicy,
)

from .contract import SHORT, TEXT
from .raw_server import Request, response, serving

KEY = "sk-very-secret-0123456789"
GOOD = {"choices": [{"text": " Rome", "finish_reason": "stop"}]}

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def sends(data: bytes, *, then_closes: bool = False) -> Behaviour:
    async def behaviour(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if then_closes:
            writer.close()

    return behaviour


async def hangs(_writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def drips(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def never_ends(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"100000\r\n" + b"[" * 0x100000 + b"\r\n"
    while not writer.is_closing():
        writer.write(chunk)
        await writer.drain()


class Case:
    """A model before a server that misbehaves on completions and has nothing else."""

    def __init__(self, behaviour: Behaviour, *, timeout_s: float = 10.0) -> None:
        self.behaviour = behaviour
        self.timeout_s = timeout_s
        self.waits: list[float] = []
        self.attempts = 0
        self.keys: list[str | None] = []

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.keys.append(request.headers.get("authorization"))
        if request.path == "/apply-template":
            writer.write(response({}, status=404))
        else:
            await self.behaviour(writer)

    async def error(self) -> str:
        async with serving(self._answer) as server:
            model = OpenAIModel(
                "m",
                base_url=server.url,
                timeout_s=self.timeout_s,
                retry=RetryPolicy(sleep=self._sleep),
            )
            with pytest.raises(ModelError) as caught:
                await model.generate(TEXT, config=SHORT)
            await model.aclose()
            self.attempts = len(server.asked("/v1/completions"))
            message = str(caught.value)
            assert KEY not in message + repr(caught.value) + repr(model)
            assert caught.value.__suppress_context__ or caught.value.__context__ is None
            url = f"POST {server.url}/v1"
            assert message.startswith((f"{url}/completions: ", "/completions: "))
            return message.removeprefix(url)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        pytest.param(sends(b"", then_closes=True), "the connection broke", id="closes at once"),
        pytest.param(
            sends(response(b"{", length=1000), then_closes=True), "the connection broke", id="drops"
        ),
        pytest.param(
            sends(b"SSH-2.0-OpenSSH\r\n", then_closes=True), "the connection broke", id="ssh"
        ),
        pytest.param(sends(response("oops", status=500)), "answered 500: oops", id="500"),
        pytest.param(sends(response("", status=503)), "answered 503 ", id="503"),
        pytest.param(sends(response({"error": "slow down"}, status=429)), "slow down", id="429"),
    ],
)
async def test_what_may_pass_is_tried_four_times_and_then_one_error(behaviour, reason):
    case = Case(behaviour)
    message = await case.error()
    assert reason in message
    assert message.endswith("(tried 4 times)")
    assert (case.attempts, len(case.waits)) == (4, 3)


@pytest.mark.parametrize("behaviour", [hangs, drips])
async def test_a_server_that_takes_too_long_is_left(behaviour):
    case = Case(behaviour, timeout_s=0.15)
    message = await case.error()
    assert "no complete answer within 0.15 s (tried 4 times)" in message


async def test_retry_after_is_kept():
    case = Case(sends(response("", status=429, headers={"Retry-After": "11"})))
    await case.error()
    assert case.waits == [11.0, 11.0, 11.0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            response({"error": f"no such key: {KEY}"}, status=401),
            "environment variable OPENAI_API_KEY",
        ),
        (response("no", status=400), "the server answered 400: no"),
        (response("", status=302, headers={"Location": "http://127.0.0.1:9/"}), "not followed"),
        (response("", status=204), "the server answered 204"),
        (response("<html>hello</html>"), "not JSON"),
        (response(""), "not JSON"),
        (response(b'{"choices": "\xff\xfe"}'), "not JSON"),
        (response(GOOD, length=20), "not JSON"),
        (response("[" * 200_000), "not JSON"),
        (response("null"), "not what this interface promises"),
        (response("[]"), "not what this interface promises"),
        (response({"choices": []}), "choices: "),
        (response({"choices": [{"text": 7}]}), "choices.0.text: "),
        (response({"choices": [{"text": None}]}), "the answer has no text"),
        (
            response({"choices": [{"text": "x"}], "usage": {"prompt_tokens": -4}}),
            "usage.prompt_tokens: ",
        ),
        (
            response({"choices": [{"text": "x"}], "usage": {"prompt_tokens": "4"}}),
            "usage.prompt_tokens: ",
        ),
        (
            response('{"choices": [{"text": "x", "logprobs": {"token_logprobs": [NaN]}}]}'),
            "token_logprobs.0: ",
        ),
    ],
)
async def test_what_cannot_pass_is_one_error_at_once(data, reason):
    case = Case(sends(data))
    assert reason in await case.error()
    assert (case.attempts, case.waits) == (1, [])


async def test_an_answer_without_end_is_cut_off():
    case = Case(never_ends)
    assert "the answer is longer than 32 MiB" in await case.error()
    assert case.attempts == 1


async def test_a_server_that_recovers_costs_no_error():
    answers = [response("", status=500), response("", status=502), response(GOOD)]

    async def behaviour(writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop(0))

    case = Case(behaviour)
    async with serving(case._answer) as server:
        model = OpenAIModel("m", base_url=server.url, retry=RetryPolicy(sleep=case._sleep))
        assert (await model.generate(TEXT)).text == " Rome"
        await model.aclose()
    assert set(case.keys) == {f"Bearer {KEY}"}


async def test_a_redirect_takes_the_key_nowhere():
    async with serving(lambda _request, writer: sends(response(GOOD))(writer)) as other:
        redirect = response("", status=307, headers={"Location": f"{other.url}/v1/completions"})
        assert "a redirect, which is not followed" in await Case(sends(redirect)).error()
        assert other.requests == []


async def test_a_server_that_is_not_there_is_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    model = OpenAIModel("m", base_url=url, retry=RetryPolicy(attempts=1))
    with pytest.raises(
        ModelError, match=rf"POST {url}/v1/completions: cannot connect: .*\(tried once\)"
    ):
        await model.generate(TEXT)
    await model.aclose()


async def test_a_host_that_has_no_address_is_named(monkeypatch):
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    model = OpenAIModel("m", base_url="http://model.example", retry=RetryPolicy(attempts=1))
    with pytest.raises(
        ModelError, match=r"model\.example/v1/completions: cannot connect: .*not known"
    ):
        await model.generate(TEXT)
    await model.aclose()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
async def test_a_certificate_that_nobody_signed_is_refused_at_once(tmp_path: Path):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key -out cert"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")

    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listener = await asyncio.start_server(close, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    model = OpenAIModel("m", base_url=url)
    with pytest.raises(ModelError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        await model.generate(TEXT)
    assert not caught.value.retryable
    await model.aclose()
    listener.close()


async def test_a_cancelled_request_is_cancelled_and_not_tried_again():
    case = Case(hangs)
    async with serving(case._answer) as server:
        model = OpenAIModel("m", base_url=server.url, retry=RetryPolicy(sleep=case._sleep))
        task = asyncio.create_task(model.generate(TEXT))
        while not server.asked("/v1/completions"):
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert case.waits == []
        await model.aclose()


async def test_a_key_that_no_header_can_hold_is_refused_unseen(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-ключ\nX-Evil: 1")
    model = OpenAIModel("m", base_url="http://127.0.0.1:9")
    with pytest.raises(UsageError, match="the key in OPENAI_API_KEY has characters") as caught:
        await model.generate(TEXT)
    assert "Evil" not in str(caught.value)
    await model.aclose()


async def test_text_that_is_no_unicode_is_refused():
    model = OpenAIModel("m", base_url="http://127.0.0.1:9")
    with pytest.raises(UsageError, match="cannot be sent as JSON"):
        await model.generate("half a pair: \ud800")
    await model.aclose()

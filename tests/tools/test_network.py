import ipaddress
from collections.abc import Sequence

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolverifier.core import ToolError
from toolverifier.tools.http import http_run, parse_http
from toolverifier.tools.network import CheckedTransport, is_public, literal_address, open_transport
from toolverifier.tools.spec import ToolSpec

SPEC = ToolSpec(name="t", description="A tool.")


class Names:
    """A name service that answers from a table and remembers what it was asked."""

    def __init__(self, **addresses: list[str]) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(f"{host}:{port}")
        name = host.split(".")[0]
        if name not in self.addresses:
            raise OSError("unknown")
        return self.addresses[name]


class Wire(httpx.MockTransport):
    """A network of the test's own: records what would be sent to which address."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.sent: list[httpx.Request] = []
        left = list(answers)

        def answer(request: httpx.Request) -> httpx.Response:
            self.sent.append(request)
            following = left.pop(0) if left else httpx.Response(200, stream=httpx.ByteStream(b"ok"))
            if isinstance(following, Exception):
                raise following
            return following

        super().__init__(answer)


async def get(url: str, wire: Wire, names: Names, *, allow_private: bool = False) -> str:
    binding = parse_http(SPEC, {"url": url}, path="$", allow_private_hosts=False)
    assert not isinstance(binding, list), binding
    transport = CheckedTransport(wire, allow_private=allow_private, resolve=names)
    result = await http_run(binding, open_transport=lambda: transport)({})
    assert isinstance(result, str)
    return result


async def test_the_connection_is_made_to_the_checked_address_under_the_name_of_the_url() -> None:
    wire, names = Wire(), Names(api=["93.184.215.14"])
    assert await get("https://api.example.com/x?y=1", wire, names) == "ok"
    [request] = wire.sent
    assert str(request.url) == "https://93.184.215.14/x?y=1"
    assert request.headers["Host"] == "api.example.com"
    assert request.extensions["sni_hostname"] == "api.example.com"
    assert names.asked == ["api.example.com:443"]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "169.254.169.254",
        "192.168.1.1",
        "172.31.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::ffff:10.0.0.1",
        "fe80::1",
        "fe80::1%2",
        "fc00::1",
        "ff02::1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "2001:db8::1",
        "2001:0:1::",
    ],
)
async def test_a_name_that_resolves_to_an_address_that_is_not_public_is_refused(
    address: str,
) -> None:
    wire, names = Wire(), Names(api=["93.184.215.14", address])
    with pytest.raises(ToolError) as caught:
        await get("http://api.example.com/", wire, names)
    assert caught.value.message == (
        f"the host 'api.example.com' has the address {address}, which is not on the public internet;"
        " this tool may not reach it"
    )
    assert wire.sent == []
    await get("http://api.example.com/", wire, names, allow_private=True)
    assert len(wire.sent) == 1


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1/", "http://[::1]/", "http://2130706433/", "//inner/"]
)
async def test_a_redirect_to_a_private_address_is_refused(location: str) -> None:
    wire = Wire(httpx.Response(302, headers={"Location": location}))

    class System(Names):
        async def __call__(self, host: str, port: int) -> Sequence[str]:
            literal = literal_address(host)
            return [str(literal)] if literal else await super().__call__(host, port)

    with pytest.raises(ToolError, match="which is not on the public internet"):
        await get(
            "http://api.example.com/", wire, System(api=["93.184.215.14"], inner=["10.0.0.1"])
        )
    assert len(wire.sent) == 1


async def test_a_name_that_changes_its_address_between_redirects_is_checked_again() -> None:
    class Rebinding(Names):
        async def __call__(self, host: str, port: int) -> Sequence[str]:
            await super().__call__(host, port)
            return ["93.184.215.14"] if len(self.asked) == 1 else ["127.0.0.1"]

    wire = Wire(httpx.Response(302, headers={"Location": "/again"}))
    with pytest.raises(ToolError, match=r"has the address 127\.0\.0\.1"):
        await get("http://api.example.com/", wire, Rebinding(api=[]))
    assert len(wire.sent) == 1


async def test_the_next_address_is_tried_where_one_cannot_be_connected_to() -> None:
    wire = Wire(httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"))
    names = Names(api=["2606:4700::1", "93.184.215.14", "93.184.215.15"])
    assert await get("http://api.example.com:8080/", wire, names) == "ok"
    assert [str(request.url) for request in wire.sent] == [
        "http://[2606:4700::1]:8080/",
        "http://93.184.215.14:8080/",
        "http://93.184.215.15:8080/",
    ]


async def test_an_unknown_host_is_one_clear_error() -> None:
    with pytest.raises(ToolError) as caught:
        await get("http://nowhere.example/", Wire(), Names())
    assert caught.value.message == "the host 'nowhere.example' has no address"


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f.0.0.1"])
async def test_the_systems_own_name_service_is_checked_too(host: str) -> None:
    async with open_transport(allow_private=False) as transport:
        with pytest.raises(ToolError, match="which is not on the public internet"):
            await transport.handle_async_request(httpx.Request("GET", f"http://{host}:9/"))


async def test_a_name_that_cannot_be_one_is_an_unknown_host() -> None:
    async with open_transport(allow_private=True) as transport:
        with pytest.raises(ToolError, match="has no address"):
            await transport.handle_async_request(
                httpx.Request("GET", f"http://{'a' * 70}.example/")
            )


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0177.0.0.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("1.2.3.4", "1.2.3.4"),
        ("::1", "::1"),
        ("example.com", None),
        ("ünï", None),
        ("", None),
    ],
)
def test_a_literal_address_is_recognised_in_every_form(host: str, address: str | None) -> None:
    assert literal_address(host) == (ipaddress.ip_address(address) if address else None)


@settings(max_examples=300, deadline=None)
@given(st.ip_addresses())
def test_nothing_that_the_standard_library_calls_private_is_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert not is_public(address)
    if is_public(address):
        assert address.is_global

import base64
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolverifier.core import Problem, ToolError
from toolverifier.tools.bindings import bind
from toolverifier.tools.http import build_request, parse_http
from toolverifier.tools.spec import ToolSpec
from toolverifier.tools.templates import redact


def tool(**arguments: Any) -> ToolSpec:
    """A spec whose arguments are all required where their schema says so."""
    required = [name for name, schema in arguments.items() if schema.pop("required", False)]
    parameters = {"type": "object", "properties": arguments, "required": required}
    return ToolSpec(name="t", description="A tool.", parameters=parameters)


def required() -> dict[str, Any]:
    return {"type": "string", "required": True}


def problems(spec: ToolSpec, binding: dict[str, Any]) -> dict[str, str]:
    found = bind(spec, {"type": "http"} | binding, path="$")
    assert isinstance(found, list)
    return {problem.path: problem.message for problem in found}


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        ({}, {"$.url": "None is not a URL; white space is written %20"}),
        (
            {"url": "https://{host}.example.com:{port}/", "verb": 1},
            {
                "$.verb": "unknown key; an http binding has type, method, url, query, headers, json, form, timeout_s",
                "$.url": "scheme, host and port are fixed; placeholders stand in path and query only",
            },
        ),
        (
            {"url": "https://api.{tld}/"},
            {"$.url": "scheme, host and port are fixed; placeholders stand in path and query only"},
        ),
        (
            {"url": "https://${env:H}/"},
            {"$.url": "scheme, host and port are fixed; placeholders stand in path and query only"},
        ),
        (
            {"url": "{scheme}://x/"},
            {"$.url": "scheme, host and port are fixed; placeholders stand in path and query only"},
        ),
        (
            {"url": "ftp://x/"},
            {"$.url": "'ftp://x/' does not begin with http:// or https:// and a host"},
        ),
        (
            {"url": "https:///x"},
            {"$.url": "'https:///x' does not begin with http:// or https:// and a host"},
        ),
        (
            {"url": "https://u:p@x/"},
            {"$.url": "the URL holds a user name; use an Authorization header with ${env:NAME}"},
        ),
        ({"url": "https://x:y/"}, {"$.url": "'https://x:y/' is not a URL: Invalid port: 'y'"}),
        ({"url": "https://[::1/"}, {"$.url": "'https://[::1/' is not a URL: Invalid IPv6 URL"}),
        ({"url": "https://x/#f"}, {"$.url": "the part after '#' is never sent; leave it out"}),
        ({"url": "https://x/a/../b"}, {"$.url": "the path has a '.' or '..' segment"}),
        (
            {"url": "https://x/{q}"},
            {"$.url": "the path needs the argument 'q', so it must be required"},
        ),
        (
            {"url": "https://x/?a={b}"},
            {"$.url": "the tool has no argument 'b'; it has ['id', 'q']"},
        ),
        ({"url": "https://x/?a=${KEY}"}, {"$.url": "'${KEY}' is no secret; write '${env:NAME}'"}),
        (
            {"url": "https://x/", "query": ["z"]},
            {"$.query": "the tool has no argument 'z'; it has ['id', 'q']"},
        ),
        (
            {"url": "https://x/", "query": [1]},
            {"$.query": "[1] is neither an object nor a list of argument names"},
        ),
        (
            {"url": "https://x/", "method": "get"},
            {"$.method": "'get' is not one of GET, HEAD, DELETE, POST, PUT, PATCH"},
        ),
        (
            {"url": "https://x/", "timeout_s": True},
            {"$.timeout_s": "True is not a number of seconds above 0, at most 600"},
        ),
        ({"url": "https://x/", "json": {}}, {"$.json": "a GET request has no body; use query"}),
        (
            {"url": "https://x/", "method": "POST", "json": {}, "form": {}},
            {"$.form": "a request has json or form, not both"},
        ),
        ({"url": "https://x/", "headers": []}, {"$.headers": "[] is not an object"}),
        (
            {"url": "https://x/", "headers": {"Host": "y", "A b": "z", "C": 1, "D": "a\nb"}},
            {
                "$.headers.Host": "'Host' is set by the library",
                "$.headers.A b": "'A b' is not the name of a header",
                "$.headers.C": "1 is not the text of a header",
                "$.headers.D": "'a\\nb' is not the text of a header",
            },
        ),
    ],
)
def test_a_wrong_binding_has_its_problems_listed_with_their_places(
    binding: dict[str, Any], expected: dict[str, str]
) -> None:
    assert problems(tool(id=required(), q={}), binding) == expected


ADDRESSES_THAT_ARE_NOT_PUBLIC = [
    "127.0.0.1",
    "[::1]",
    "169.254.169.254",
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "2130706433",
    "0x7f000001",
    "127.1",
    "[::ffff:127.0.0.1]",
    "[::ffff:8.8.8.8]",
    "[64:ff9b::7f00:1]",
    "[fd00:ec2::254]",
    "localhost",
    "api.localhost",
]


@pytest.mark.parametrize("host", ADDRESSES_THAT_ARE_NOT_PUBLIC)
def test_a_host_that_is_written_as_a_private_address_is_a_problem_unless_allowed(host: str) -> None:
    binding = {"type": "http", "url": f"http://{host}:8080/x"}
    shown = host.strip("[]")
    message = (
        f"{shown!r} is not on the public internet; loading with allow_private_hosts permits it"
    )
    assert bind(tool(), binding, path="$[0].binding") == [
        Problem(path="$[0].binding.url", message=message)
    ]
    assert callable(bind(tool(), binding, path="$", allow_private_hosts=True))


def can_be_sent(path: str, query: str, header: str) -> bool:
    climbs = {".", ".."} & set(path.replace("\\", "/").split("/"))
    breaks = any(ord(letter) < 32 or ord(letter) == 127 for letter in header.strip())
    broken = any("\ud800" <= letter <= "\udfff" for letter in path + query + header)
    return not (climbs or breaks or broken)


awkward = st.lists(
    st.sampled_from(["..", ".", "/", "\\", "%2e", "\r\n", "@", ":", "?", "#", "{q}"])
).map("".join)
texts = st.text(st.characters()) | awkward


@settings(max_examples=300, deadline=None)
@given(texts.filter(bool), texts, texts)
def test_whatever_the_arguments_are_only_their_own_places_change(
    path: str, query: str, header: str
) -> None:
    spec = tool(p=required(), q={}, h={})
    url = "https://api.example.com:8443/v1/{p}/end?k=v&q={q}"
    document = {"type": "http", "url": url, "headers": {"X-H": "{h}"}}
    binding = parse_http(spec, document, path="$", allow_private_hosts=False)
    assert not isinstance(binding, list)
    arguments = {"p": path, "q": query, "h": header}
    if not can_be_sent(path, query, header):
        with pytest.raises(ToolError) as caught:
            build_request(binding, arguments, {})
        assert caught.value.kind == "invalid_arguments"
        return
    request = build_request(binding, arguments, {})
    assert (request.url.scheme, request.url.host, request.url.port) == (
        "https",
        "api.example.com",
        8443,
    )
    raw = request.url.raw_path.decode("ascii")
    segments = raw.partition("?")[0].split("/")
    assert segments[:2] + segments[3:] == ["", "v1", "end"]
    assert unquote(segments[2]) == path
    assert parse_qsl(raw.partition("?")[2], keep_blank_values=True) == [("k", "v"), ("q", query)]
    own = [name for name, _ in request.headers.raw]
    assert own == [b"Host", b"Accept", b"Accept-Encoding", b"User-Agent", b"X-H"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
parts = st.sampled_from(
    [
        "http://",
        "https://",
        "x.com",
        "{q}",
        "${env:A}",
        "/",
        "?",
        "#",
        ":",
        "@",
        "[",
        "]",
        "..",
        "\\",
    ]
)
urls = st.lists(parts | st.text(max_size=3), max_size=8).map("".join)


@settings(max_examples=200, deadline=None)
@given(
    st.fixed_dictionaries(
        {"type": st.just("http")},
        optional={
            "method": st.sampled_from(["GET", "POST"]) | json_values,
            "url": urls | json_values,
            "query": json_values,
            "headers": json_values,
            "json": json_values,
            "form": json_values,
            "timeout_s": json_values,
        },
    )
)
def test_any_binding_either_binds_or_has_problems(binding: dict[str, Any]) -> None:
    found = bind(tool(q={}), binding, path="$.binding")
    if isinstance(found, list):
        assert found
        assert all(problem.path.startswith("$.binding.") for problem in found)
    else:
        assert callable(found)


def test_base64_secrets_are_redacted_where_php_escapes_their_slashes() -> None:
    secret = base64.b64encode(b"\xff\xff\xfe?").decode()
    assert "/" in secret
    echoed = secret.replace("/", r"\/")
    assert redact(f'{{"key": "{echoed}"}} {secret}', [secret]) == '{"key": "[secret]"} [secret]'

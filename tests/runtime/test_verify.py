"""A program that computes is believed: what is damaged does not load, and the cache of packed weights has rules."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import torchtrt_ws
from torchtrt_ws import pte


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("TORCHTRT_WS_CACHE", str(folder))
    return folder


@pytest.fixture
def damaged(plain: Path, tmp_path: Path) -> Path:
    """The program with 4 KiB of its weights zeroed: nothing but the recorded checksum and digest can tell."""
    (engine,) = pte.read(plain).engines
    data = bytearray(plain.read_bytes())
    middle = engine.engine_offset + engine.engine_bytes // 2
    data[middle : middle + 4096] = bytes(4096)
    path = tmp_path / "damaged.pte"
    path.write_bytes(data)
    return path


def output(path: Path, x: np.ndarray, **keywords: Any) -> np.ndarray:
    return torchtrt_ws.load(path, **keywords)(x)[0]


def packed_file(cache: Path) -> Path:
    (path,) = cache.glob("*.packed")
    return path


@pytest.mark.parametrize(("verify", "words"), [("checksum", "CRC-32C"), ("digest", "SHA-256")])
@pytest.mark.parametrize("mmap", [True, False])
def test_a_damaged_program_does_not_load(damaged: Path, cache: Path, verify: str, words: str, mmap: bool) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=f"'forward': found {words}.*as the file records"):
        torchtrt_ws.load(damaged, verify=verify, mmap=mmap)


def test_a_damaged_program_leaves_the_good_one_alone(
    plain: Path, damaged: Path, cache: Path, x: np.ndarray, want: np.ndarray
) -> None:
    """Under verify="off" its weights are packed too, but not under the name of the good program's."""
    assert not np.allclose(output(damaged, x, verify="off"), want, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(output(plain, x), want, rtol=1e-4, atol=1e-4)
    assert len(list(cache.glob("*.packed"))) == 2


def test_a_file_cannot_claim_the_digest_of_another(
    plain: Path, damaged: Path, cache: Path, tmp_path: Path, x: np.ndarray, want: np.ndarray
) -> None:
    """Its checksum is right, its digest is that of the good program: nothing is put into the cache under that name."""
    from crc32c import crc32c

    (engine,) = pte.read(plain).engines
    data = damaged.read_bytes()
    forged = crc32c(data[engine.engine_offset : engine.engine_offset + engine.engine_bytes])
    path = tmp_path / "forged.pte"
    path.write_bytes(data.replace(str(engine.crc32c).encode(), f"{forged:08x}".encode()))
    with pytest.raises(torchtrt_ws.ProgramError, match="SHA-256"):
        torchtrt_ws.load(path)
    np.testing.assert_allclose(output(plain, x), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("verify", ["on", "", True])
def test_verify_takes_three_words(plain: Path, cache: Path, verify: Any) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=r"verify: found .*expected.*checksum.*digest.*off"):
        torchtrt_ws.load(plain, verify=verify)


@pytest.mark.parametrize("where", [0, 1 / 3, 0.5, 0.9, 1])
def test_a_damaged_cache_file_is_written_again(
    plain: Path, cache: Path, x: np.ndarray, want: np.ndarray, where: float
) -> None:
    output(plain, x)
    path = packed_file(cache)
    data = bytearray(path.read_bytes())
    data[int(where * (len(data) - 1))] ^= 0x40
    path.write_bytes(data)
    np.testing.assert_allclose(output(plain, x), want, rtol=1e-4, atol=1e-4)
    assert packed_file(cache).read_bytes() != data


@pytest.mark.parametrize("content", [b"", b"12 00000000\n", b"garbage" * 10])
def test_an_empty_or_strange_cache_file_is_written_again(
    plain: Path, cache: Path, x: np.ndarray, want: np.ndarray, content: bytes
) -> None:
    output(plain, x)
    path = packed_file(cache)
    path.write_bytes(content)
    program = torchtrt_ws.load(plain, weight_streaming_budget="50%")
    np.testing.assert_allclose(program(x)[0], want, rtol=1e-4, atol=1e-4)
    assert program.engines[0].streamable_bytes > 0


def test_the_folder_is_ours_alone(plain: Path, cache: Path, x: np.ndarray) -> None:
    output(plain, x)
    assert cache.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in cache.iterdir()} == {0}


def break_folder(cache: Path) -> None:
    cache.chmod(0o777)


def break_mode(cache: Path) -> None:
    packed_file(cache).chmod(0o666)


def break_links(cache: Path) -> None:
    os.link(packed_file(cache), cache.parent / "second-name")


def break_symlink(cache: Path) -> None:
    path = packed_file(cache)
    elsewhere = cache.parent / "elsewhere"
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)


def break_owner(cache: Path) -> None:
    os.chown(packed_file(cache), 12345, 12345)


BREAKS = [break_folder, break_mode, break_links, break_symlink]
if os.geteuid() == 0:
    BREAKS.append(break_owner)  # only root can give a file away


@pytest.mark.parametrize("broken", BREAKS)
def test_a_cache_that_others_could_write_is_not_used(
    plain: Path, cache: Path, x: np.ndarray, want: np.ndarray, broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    output(plain, x)
    broken(cache)
    program = torchtrt_ws.load(plain)
    np.testing.assert_allclose(program(x)[0], want, rtol=1e-4, atol=1e-4)
    assert program.engines[0].streamable_bytes == 0  # on the heap
    assert "cannot stream its weights" in caplog.text


@contextlib.contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_room_is_said_and_leaves_nothing(
    plain: Path, cache: Path, x: np.ndarray, want: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    """And the next load, with room, streams."""
    with file_size_limit(1 << 20):
        program = torchtrt_ws.load(plain)
        np.testing.assert_allclose(program(x)[0], want, rtol=1e-4, atol=1e-4)
        assert program.engines[0].streamable_bytes == 0
    assert "no room for" in caplog.text
    assert not list(cache.glob("*.packed*[!k]"))
    assert torchtrt_ws.load(plain).engines[0].streamable_bytes > 0


UNSHARE = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--mount")


def can_mount() -> bool:
    """Whether this machine gives this user a mount namespace; some containers and distributions do not."""
    command = [*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


def check_full_disk(plain: Path, tmp_path: Path, x: np.ndarray, want: np.ndarray) -> None:
    """A file system of 4 MiB, in a mount namespace of its own; the weights take 8."""
    script = """
import os, sys
import numpy as np
import torchtrt_ws
program = torchtrt_ws.load(sys.argv[1])
np.save(sys.argv[2], program(np.load(sys.argv[3]))[0])
print(program.engines[0].streamable_bytes, len(os.listdir(os.environ["TORCHTRT_WS_CACHE"])))
"""
    (tmp_path / "small").mkdir()
    np.save(tmp_path / "x.npy", x)
    inner = f'mount -t tmpfs -o size=4m,mode=0700 none {tmp_path}/small && exec "$@"'
    command = [*UNSHARE, "sh", "-c", inner, "sh", sys.executable, "-c", script]
    environment = {**os.environ, "TORCHTRT_WS_CACHE": str(tmp_path / "small")}
    arguments = [str(plain), str(tmp_path / "y.npy"), str(tmp_path / "x.npy")]
    done = subprocess.run([*command, *arguments], env=environment, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in done.stderr
    streamable, files = done.stdout.split()
    assert (streamable, int(files) <= 1) == ("0", True)  # the lock file may stay
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), want, rtol=1e-4, atol=1e-4)


if can_mount():  # where it cannot, test_no_room_is_said_and_leaves_nothing has the same reservation refused
    test_a_full_disk_does_not_end_the_process = check_full_disk


def test_what_a_killed_writer_left_is_removed(plain: Path, cache: Path, x: np.ndarray) -> None:
    output(plain, x)
    path = packed_file(cache)
    path.unlink()
    left = path.with_name(path.name + ".aBc123")
    left.write_bytes(bytes(100))
    output(plain, x)
    assert not left.exists()
    assert path.exists()


def test_the_least_recently_used_goes_when_there_is_too_much(
    plain: Path, dynamic: Path, cache: Path, x: np.ndarray, want: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = torchtrt_ws.load(plain)
    old = packed_file(cache)
    monkeypatch.setenv("TORCHTRT_WS_CACHE_LIMIT", str(9 << 20))  # one of 8 MiB, not two
    output(dynamic, x)
    assert packed_file(cache) != old
    np.testing.assert_allclose(first(x)[0], want, rtol=1e-4, atol=1e-4)  # it has its file mapped

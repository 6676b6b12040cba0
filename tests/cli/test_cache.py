"""`torchtrt-ws cache`: real packed weights of real engines, and what is not to be touched."""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from warm_python import python

import torchtrt_ws
from torchtrt_ws import cache, pte
from torchtrt_ws.cache.folder import distrusted
from torchtrt_ws.errors import BudgetError, EngineError

DIGEST = "ab" * 32
HOLD = "import sys, torchtrt_ws; p = torchtrt_ws.load(sys.argv[1]); print('loaded', flush=True); sys.stdin.read()"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a.pte and b.pte, and in cache/ what loading them wrote."""
    folder = tmp_path_factory.mktemp("packed")
    for name, width in (("a", 256), ("b", 128)):
        path = folder / f"{name}.pte"
        torchtrt_ws.save(torch.nn.Linear(width, 256), path, arg_inputs=(torch.zeros(1, width),))
        done = command("run", path, cache=folder / "cache")
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the cache, the one that this process uses; a's weights are older."""
    copy = tmp_path / "cache"
    copy.mkdir(mode=0o700)
    for file in (packed / "cache").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    os.utime(file_of(packed / "a.pte", copy), (1000, 1000))
    os.utime(file_of(packed / "b.pte", copy), (2000, 2000))
    monkeypatch.setenv("TORCHTRT_WS_CACHE", str(copy))
    return copy


def command(*arguments: object, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TORCHTRT_WS_CACHE": str(cache), "COLUMNS": "200"}
    return python("-m", "torchtrt_ws", *arguments, env=environment, timeout=120)


def answer(*arguments: object, cache: Path) -> dict[str, Any]:
    done = command("cache", *arguments, "--json", cache=cache)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return dict(json.loads(done.stdout))


def digest(path: Path) -> str:
    found = pte.read(path).engines[0].sha256
    assert found is not None
    return found


def file_of(program: Path, folder: Path) -> Path:
    (found,) = folder.glob(f"{digest(program)}-*.packed")
    return found


def test_what_it_holds(packed: Path, folder: Path) -> None:
    found = answer(cache=folder)
    assert found["folder"] == str(folder)
    assert [entry["sha256"] for entry in found["entries"]] == [digest(packed / "a.pte"), digest(packed / "b.pte")]
    first = found["entries"][0]
    assert (first["kind"], first["last_used"], first["in_use"], first["problem"]) == (
        "packed weights",
        1000,
        False,
        None,
    )
    assert first["bytes"] >= 256 * 256 * 4
    assert found["bytes"] == sum(entry["bytes"] for entry in found["entries"])
    shown = command("cache", cache=folder).stdout
    assert f"{folder}: 2 entries" in shown and digest(packed / "a.pte")[:12] in shown


def test_which_belongs_to_a_file(packed: Path, folder: Path) -> None:
    (entry,) = answer(packed / "b.pte", cache=folder)["entries"]
    assert entry["sha256"] == digest(packed / "b.pte")
    assert entry["engines"] == [f"{packed / 'b.pte'}: forward"]
    assert "b.pte: forward" in command("cache", packed / "b.pte", cache=folder).stdout


def test_using_is_seen(packed: Path, folder: Path) -> None:
    assert command("run", packed / "a.pte", cache=folder).returncode == 0
    assert [entry.sha256 for entry in cache.entries()][-1] == digest(packed / "a.pte")


def test_clear(packed: Path, folder: Path) -> None:
    done = command("cache", "clear", packed / "a.pte", cache=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 entry removed, ")
    assert [entry.sha256 for entry in cache.entries()] == [digest(packed / "b.pte")]
    report = answer("clear", cache=folder)
    assert (len(report["removed"]), report["bytes_left"], report["in_use"]) == (1, 0, [])
    assert report["bytes_freed"] >= 128 * 256 * 4
    assert not [file.name for file in folder.iterdir() if not file.name.endswith(".lock")]
    assert command("run", packed / "a.pte", cache=folder).returncode == 0, "it is written again"


def test_prune(packed: Path, folder: Path) -> None:
    most = cache.entries()[1].bytes
    report = answer("prune", "--max", most, cache=folder)
    assert [entry["sha256"] for entry in report["removed"]] == [digest(packed / "a.pte")], "the least recently used"
    assert report["bytes_left"] == most
    assert answer("prune", "--max", most, cache=folder)["removed"] == []
    assert answer("prune", cache=folder)["removed"] == [], "16 GiB"
    assert cache.prune("0").bytes_left == 0


def test_the_limit_of_all_loads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHTRT_WS_CACHE_LIMIT", "1")
    assert answer(cache=folder)["limit_bytes"] == 1
    assert len(cache.prune().removed) == 2
    monkeypatch.setenv("TORCHTRT_WS_CACHE_LIMIT", "many")
    assert cache.limit() == 16 << 30


def test_what_is_loaded_stays(packed: Path, folder: Path) -> None:
    """It would not break, but the next process would write it again."""
    program = [sys.executable, "-c", HOLD, str(packed / "a.pte")]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "loaded\n"
        assert {entry.sha256: entry.in_use for entry in cache.entries()} == {
            digest(packed / "a.pte"): True,
            digest(packed / "b.pte"): False,
        }
        done = command("cache", "clear", cache=folder)
        assert f"in use, kept: {file_of(packed / 'a.pte', folder).name}" in done.stdout
        assert "1 entry removed" in done.stdout
        process.communicate()
    assert len(cache.clear().removed) == 1


def test_a_mapping_is_a_use(packed: Path, folder: Path) -> None:
    """Without a descriptor: Python's own mmap keeps one."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    descriptor = os.open(file_of(packed / "b.pte", folder), os.O_RDONLY)
    address = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    os.close(descriptor)
    try:
        assert [entry.in_use for entry in cache.entries()] == [False, True]
    finally:
        libc.munmap(address, 4096)
    assert not any(entry.in_use for entry in cache.entries())


def test_what_is_being_loaded_stays(packed: Path, folder: Path) -> None:
    """Who loads or writes an entry holds its lock."""
    file = file_of(packed / "a.pte", folder)
    with open(f"{file}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        report = answer("clear", cache=folder)
    assert [entry["name"] for entry in report["in_use"]] == [file.name]
    assert file.exists()


def test_runtime_caches_are_entries(packed: Path, folder: Path) -> None:
    """As cpp/cache/runtime_cache_file.cpp names them; of a plan whose digest its file records, and of another."""
    names = {each: f"{each}-rtx1.6.1-sm90-{'0' * 16}.runtime" for each in (digest(packed / "a.pte"), DIGEST)}
    for name in names.values():
        (folder / name).write_bytes(bytes(5000))
        os.utime(folder / name, (10, 10))
    (folder / f"{names[DIGEST]}.a1B2c3").write_bytes(bytes(100))
    kinds = {entry.name: entry.kind for entry in cache.entries()}
    assert [kinds[name] for name in names.values()] == ["runtime cache"] * 2
    assert kinds[f"{names[DIGEST]}.a1B2c3"] == "leftover"
    belonging = {entry["kind"]: entry for entry in answer(packed / "a.pte", cache=folder)["entries"]}
    assert set(belonging) == {"packed weights", "runtime cache"}
    assert belonging["runtime cache"]["engines"] == [f"{packed / 'a.pte'}: forward"]
    assert belonging["runtime cache"]["bytes"] >= 5000
    shown = command("cache", packed / "a.pte", cache=folder).stdout
    assert shown.count("runtime cache") == 1
    report = cache.prune(sum(entry.bytes for entry in cache.entries()) - 1)
    assert [entry.kind for entry in report.removed] == ["runtime cache"], "the least recently used"
    cache.clear()
    assert not [file.name for file in folder.iterdir() if not file.name.endswith(".lock")]


def test_refitted_plans_are_entries(packed: Path, folder: Path) -> None:
    """As cpp/cache/cache_key.cpp names them: a plan, the weights that it was given, and what they are for."""
    name = f"{digest(packed / 'a.pte')}-{DIGEST}-rtx1.6.1-sm90-{'0' * 16}.refit"
    (folder / name).write_bytes(bytes(5000))
    belonging = {entry["kind"]: entry for entry in answer(packed / "a.pte", cache=folder)["entries"]}
    assert belonging["refitted plan"]["name"] == name
    assert "refitted plan" in command("cache", packed / "a.pte", cache=folder).stdout


def test_leftovers_go(folder: Path) -> None:
    (folder / f"{DIGEST}-1.5.1-{'0' * 16}.packed.a1B2c3").write_bytes(bytes(5000))
    (entry,) = cache.entries([DIGEST])
    assert (entry.kind, entry.bytes >= 5000) == ("leftover", True)
    assert cache.clear([DIGEST]).removed == (entry,)
    assert len(cache.entries()) == 2


def test_what_breaks_the_rules_is_not_touched(folder: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    names = {end: f"{DIGEST}-1.5.1-{end * 16}.packed" for end in "0123"}
    (folder / names["0"]).symlink_to(precious)
    os.link(precious, folder / names["1"])
    (folder / names["2"]).mkdir()
    (folder / names["3"]).write_text("others")
    (folder / names["3"]).chmod(0o666)
    (folder / "notes.txt").write_text("no entry")
    problems = {entry.name: entry.problem for entry in cache.entries([DIGEST])}
    assert {problems[names[end]] for end in "012"} == {"no regular file with one name"}
    assert problems[names["3"]] == "something that other users may write"
    assert len(cache.clear().removed) == 2
    assert {entry.name for entry in cache.entries()} == set(names.values())
    assert precious.read_text() == "mine" and (folder / "notes.txt").exists()


def test_a_folder_that_is_not_to_be_trusted(folder: Path, tmp_path: Path) -> None:
    folder.chmod(0o777)
    for arguments in ((), ("clear",), ("prune", "--max", "0")):
        done = command("cache", *arguments, cache=folder)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert f"error: {folder}: found something that other users may write" in done.stderr
    (tmp_path / "file").write_text("")
    done = command("cache", cache=tmp_path / "file")
    assert done.returncode == 1 and "found Not a directory" in done.stderr
    assert len(list(folder.glob("*.packed"))) == 2


@pytest.mark.parametrize(
    ("user", "mode", "problem"),
    [
        (os.geteuid(), 0o600, None),
        (0, 0o644, None),
        (54321, 0o600, "something that belongs to user 54321"),
        (os.geteuid(), 0o620, "something that other users may write"),
        (0, 0o602, "something that other users may write"),
    ],
)
def test_whose_it_is(user: int, mode: int, problem: str | None) -> None:
    info = os.stat_result((mode, 1, 1, 1, user, 0, 0, 0, 0, 0))
    assert distrusted(info) == problem


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHTRT_WS_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    monkeypatch.setenv("HOME", "/c")
    assert cache.folder() == Path("/a")
    monkeypatch.setenv("TORCHTRT_WS_CACHE", "")
    assert cache.folder() == Path("/b/torchtrt_ws")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder() == Path("/c/.cache/torchtrt_ws")
    monkeypatch.delenv("HOME")
    with pytest.raises(EngineError, match="neither TORCHTRT_WS_CACHE nor HOME"):
        cache.folder()
    missing = tmp_path / "missing"
    assert answer(cache=missing)["entries"] == []
    assert answer("clear", cache=missing)["removed"] == []
    assert not missing.exists()


def test_refused(packed: Path, folder: Path) -> None:
    for arguments in (("--max", "1"), ("clear", "--max", "1"), ("prune", packed / "a.pte")):
        assert command("cache", *arguments, cache=folder).returncode == 2
    done = command("cache", "prune", "--max", "10GB", cache=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: max: found '10GB'; expected a number of bytes" in done.stderr
    done = command("cache", "clear", folder / "no.pte", cache=folder)
    assert done.returncode == 1 and "no such file" in done.stderr
    assert len(cache.entries()) == 2
    with pytest.raises(BudgetError):
        cache.prune("-1")

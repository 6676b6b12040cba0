"""torchtrt_ws.set_budget: another baked budget, and not a byte else; in place, and whole wherever its process dies."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from warm_python import python

import torchtrt_ws
from torchtrt_ws import budget, pte
from torchtrt_ws.errors import BudgetError, ProgramError
from torchtrt_ws.pte.room import find_room

ROOT = Path(__file__).resolve().parent.parent.parent


def plan(size: int, seed: int = 0) -> bytes:
    """What begins like a plan of TensorRT-RTX."""
    body = hashlib.sha256(b"%d" % seed).digest() * (size // 32 + 1)
    return struct.pack("<4s12xQ4B", b"vtrt", size, 1, 6, 1, 120) + body[: size - 28]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two engines, in two methods; nothing baked. As torchtrt-ws saves it."""
    path = tmp_path_factory.mktemp("saved") / "a.pte"
    torchtrt_ws.save_plan(
        {"q": plan(5000), "d": plan(9000, 1)},
        path,
        inputs={"q": "x:float32:4", "d": "x:float32:4"},
        outputs={"q": "y:float32:4", "d": "z:float32:4"},
        methods={"query": ["q"], "document": ["d"]},
    )
    return path.read_bytes()


@pytest.fixture
def path(saved: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "a.pte"
    path.write_bytes(saved)
    return path


def baked(path: Path) -> dict[str, int | None]:
    return {engine.name: engine.baked_budget for engine in pte.read(path).engines}


def all_else(path: Path) -> Any:
    """What a change of budgets must not change: methods, engines with their bytes, the other compile specs."""
    contents = path.read_bytes()
    report = pte.read(path)
    return report.methods, [
        (
            engine.name,
            engine.metadata,
            [spec for spec in engine.compile_specs if spec.key != budget.KEY],
            contents[engine.payload_offset : engine.payload_offset + engine.payload_bytes],
        )
        for engine in report.engines
    ]


def as_executorch_reads_it(path: Path) -> Any:
    """The program by ExecuTorch's own reader, engines and all."""
    from executorch.exir._serialize._program import deserialize_pte_binary

    return deserialize_pte_binary(path.read_bytes()).program


def test_a_saved_file_has_room(saved: bytes) -> None:
    (program_size,) = struct.unpack_from("<Q", saved, 16)
    assert find_room(saved[:program_size]) is not None


@pytest.mark.parametrize(
    ("value", "engines", "wanted"),
    [
        (7000, None, {"d": 4500, "q": 2500}),
        ("50%", None, {"d": 4500, "q": 2500}),
        ("100%", None, {"d": budget.MAX_BYTES, "q": budget.MAX_BYTES}),
        (0, None, {"d": 0, "q": 0}),
        (7001, None, {"d": 4501, "q": 2500}),
        ("1KiB", ["q"], {"d": None, "q": 1024}),
        ("10%", ["q", "d"], {"d": 900, "q": 500}),
        ({"q": 5, "d": "100%"}, None, {"d": budget.MAX_BYTES, "q": 5}),
        ("auto", None, {"d": None, "q": None}),
        (None, None, {"d": None, "q": None}),
    ],
)
def test_in_place(path: Path, value: Any, engines: list[str] | None, wanted: dict[str, int | None]) -> None:
    before, inode, size = all_else(path), path.stat().st_ino, path.stat().st_size
    report = pte.set_budget(path, value, engines=engines)
    assert report.in_place and report.file == str(path) and report.stale_signature is None
    assert {each.name: each.after for each in report.engines} == baked(path) == wanted
    assert all(each.before is None for each in report.engines)
    assert (path.stat().st_ino, path.stat().st_size) == (inode, size)
    assert all_else(path) == before


def test_a_total_is_split_as_save_splits_it(path: Path, tmp_path: Path) -> None:
    for total in (0, 1, 4999, 13_999, 14_000, 2**40):
        torchtrt_ws.save_plan(
            {"q": plan(5000), "d": plan(9000, 1)},
            tmp_path / "b.pte",
            inputs={"q": "x:float32:4", "d": "x:float32:4"},
            outputs={"q": "y:float32:4", "d": "z:float32:4"},
            methods={"query": ["q"], "document": ["d"]},
            weight_streaming_budget=total,
        )
        torchtrt_ws.set_budget(path, total)
        assert baked(path) == baked(tmp_path / "b.pte")
        for ours, theirs in zip(pte.read(path).engines, pte.read(tmp_path / "b.pte").engines, strict=True):
            assert ours.compile_specs == theirs.compile_specs


VALUES = st.none() | st.integers(0, budget.MAX_BYTES) | st.integers(0, 100).map("{}%".format)
CHANGES = st.lists(st.dictionaries(st.sampled_from(["q", "d"]), VALUES), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(changes=CHANGES)
def test_any_changes_one_after_the_other(saved: bytes, tmp_path: Path, changes: list[dict[str, Any]]) -> None:
    """The last one of each engine counts, the file neither grows nor loses anything, and ExecuTorch reads it."""
    path = tmp_path / "a.pte"
    path.write_bytes(saved)
    before, sizes, wanted = all_else(path), {"q": 5000, "d": 9000}, dict[str, int | None]()
    for change in changes:
        assert pte.set_budget(path, change).in_place
        for name, value in change.items():
            share = {"0%": 0, "100%": budget.MAX_BYTES}
            wanted[name] = share.get(value, sizes[name] * int(value[:-1]) // 100) if isinstance(value, str) else value
    assert baked(path) == {"d": None, "q": None} | wanted
    assert all_else(path) == before
    assert path.stat().st_size == len(saved)
    plans = as_executorch_reads_it(path).execution_plan
    found = {plan.name: [bytes(spec.value) for spec in plan.delegates[0].compile_specs] for plan in plans}
    expected = {"query": wanted.get("q"), "document": wanted.get("d")}
    assert found == {name: [] if value is None else [b"%d" % value] for name, value in expected.items()}


def test_under_50_ms_for_a_large_file(tmp_path: Path) -> None:
    with open(tmp_path / "a.plan", "wb") as file:  # sparse
        file.write(struct.pack("<4s12xQ4B", b"vtrt", 1 << 30, 1, 6, 1, 120))
        file.truncate(1 << 30)
    path = tmp_path / "a.pte"
    torchtrt_ws.save_plan(tmp_path / "a.plan", path, inputs="x:float32:4", outputs="y:float32:4")
    seconds = []
    for value in ("50%", "auto", 2**40, 0, "12%"):
        started = time.perf_counter()
        assert pte.set_budget(path, value).in_place
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.05, seconds  # the least: another process's sync may be in the way


# Files without room: of Torch-TensorRT, and of other writers.


@pytest.mark.parametrize(
    ("name", "value", "in_place"),
    [
        ("one", 999, True),  # where 1000 was
        ("one", 9999, True),
        ("one", 10_000, False),
        ("one", "auto", True),
        ("inline", 7, True),
        ("inline", 10_000, False),
        ("inline", "auto", True),
        ("several", {"tower-a": 5, "encoder": 2**40, "last": "100%"}, False),
        ("several", {"tower-a": "auto", "engine4": 12}, False),
        ("several", {"engine4": "auto"}, True),
        ("several", {"engine0": 3}, False),
    ],
)
def test_files_of_others(pte_folder: Path, tmp_path: Path, name: str, value: Any, in_place: bool) -> None:
    path = tmp_path / "a.pte"
    path.write_bytes((pte_folder / f"{name}.pte").read_bytes())
    wanted = baked(path)
    before = all_else(path)
    for change in (value, {each: 2**62 for each in wanted}, value, value):
        report = pte.set_budget(path, change)
        each_value: dict[str, Any] = change if isinstance(change, dict) else dict.fromkeys(wanted, change)
        words: dict[Any, Any] = {"auto": None, "100%": budget.MAX_BYTES}
        wanted |= {key: words.get(each, each) for key, each in each_value.items()}
        assert baked(path) == wanted == {each.name: each.after for each in report.engines}
        assert all_else(path) == before
        as_executorch_reads_it(path)
    assert report.in_place  # what was written anew has room, unless engines are inside the flatbuffer; or no change
    path.write_bytes((pte_folder / f"{name}.pte").read_bytes())
    assert pte.set_budget(path, value).in_place == in_place


def test_a_shorter_number_keeps_the_place_of_a_longer_one(pte_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.pte"
    path.write_bytes((pte_folder / "one.pte").read_bytes())
    for value in (5, 1234, 0):
        assert pte.set_budget(path, value).in_place
        assert baked(path) == {"tower-a": value}
    (engine,) = pte.read(path).engines
    assert [spec.value for spec in engine.compile_specs if spec.key == budget.KEY] == [b"0000"]


@pytest.mark.parametrize("name", ["one", "inline", "several"])
def test_alignment_stays(pte_folder: Path, tmp_path: Path, name: str) -> None:
    before = [engine.payload_offset % 4096 for engine in pte.read(pte_folder / f"{name}.pte").engines]
    pte.set_budget(pte_folder / f"{name}.pte", {"tower-a": 2**60}, output=tmp_path / "a.pte")
    after = [engine.payload_offset % 4096 for engine in pte.read(tmp_path / "a.pte").engines]
    assert after == before


def test_another_file(path: Path, saved: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out.pte"
    report = pte.set_budget(path, 7000, output=out)
    assert (report.file, report.in_place) == (str(out), False)
    assert path.read_bytes() == saved
    assert baked(out) == {"d": 4500, "q": 2500} and all_else(out) == all_else(path)
    assert pte.set_budget(out, 7000, output=out).in_place  # the file itself
    assert sorted(tmp_path.iterdir()) == [path, out]


def test_nothing_to_change_writes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pte.set_budget(path, 7000)
    monkeypatch.setattr(os, "pwrite", None)
    assert pte.set_budget(path, 7000).in_place


def test_an_engine_with_nothing_to_stream(tmp_path: Path) -> None:
    path = tmp_path / "a.pte"
    torchtrt_ws.save_plan(plan(4096), path, inputs="x:float32:4", outputs="y:float32:4", streamable_bytes=0)
    report = pte.set_budget(path, "50%")
    assert report.without_effect == ("forward",) and baked(path) == {"forward": None}


def test_a_signature_goes_stale(path: Path, tmp_path: Path) -> None:
    signature = tmp_path / "a.pte.sig"
    signature.write_text("signed")
    assert pte.set_budget(path, "auto").stale_signature is None  # nothing changed
    assert pte.set_budget(path, 7000).stale_signature == str(signature)
    assert pte.set_budget(path, 7000, output=tmp_path / "b.pte").stale_signature is None


@pytest.mark.parametrize(
    ("value", "engines", "words"),
    [
        ("1GB", None, "found '1GB'; expected"),
        (-1, None, "found -1; expected"),
        (True, None, "found True"),
        ("free-1GiB", None, 'Give "free-N" when the program is loaded'),
        (7, ["x"], "no engine named 'x'; expected names of engines in the program ('d', 'q')"),
        ({"x": 7}, None, "no engine named 'x'"),
        ({"q": 7}, ["q"], "a mapping, and engines as well"),
    ],
)
def test_bad_budgets(path: Path, saved: bytes, value: Any, engines: list[str] | None, words: str) -> None:
    with pytest.raises(BudgetError) as caught:
        pte.set_budget(path, value, engines=engines)
    assert words in str(caught.value)
    assert path.read_bytes() == saved


@pytest.mark.parametrize(("value", "engines"), [("50%", None), (7, None), ("50%", ["engine4"])])
def test_unknown_sizes_name_annotate(pte_folder: Path, value: Any, engines: list[str] | None) -> None:
    path = pte_folder / "several.pte"
    before = path.read_bytes()
    with pytest.raises(BudgetError, match=f"`torchtrt-ws annotate {path}` records them") as caught:
        pte.set_budget(path, value, engines=engines)
    assert "whose streamable size is not recorded" in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "words"), [("xnnpack", "delegates of other backends only"), ("no_delegates", "no del")]
)
def test_programs_without_engines(pte_folder: Path, name: str, words: str) -> None:
    with pytest.raises(ProgramError, match=words):
        pte.set_budget(pte_folder / f"{name}.pte", 7)


@pytest.mark.parametrize(
    ("given", "words"),
    [("missing.pte", "no such file"), (".", "is a directory"), ("a\0.pte", "null"), ("text.pte", "4 bytes that start")],
)
def test_what_is_no_program(tmp_path: Path, given: str, words: str) -> None:
    (tmp_path / "text.pte").write_text("text")
    with pytest.raises(ProgramError, match=words):
        pte.set_budget(f"{tmp_path}/{given}", 7)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ProgramError, match="not a regular file"):
        pte.set_budget(tmp_path / "pipe", 7)


def test_a_file_that_may_not_be_written(path: Path, saved: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = os.open

    def refuse(name: Any, flags: int, *arguments: Any) -> int:
        if flags & os.O_RDWR:  # root may write anything: permissions show nothing
            raise PermissionError(errno.EACCES, "Permission denied")
        return real_open(name, flags, *arguments)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ProgramError, match=r"found permission denied; expected a \.pte that can be written.*-o writes"):
        pte.set_budget(path, 7)
    assert path.read_bytes() == saved


def test_a_file_that_another_process_changes(path: Path, saved: bytes) -> None:
    with open(path, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ProgramError, match="another process is changing"):
            pte.set_budget(path, 7)
    assert path.read_bytes() == saved


def test_a_file_system_without_locks(path: Path, saved: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is changing the file there, and nobody can be kept from it: another file is written."""

    def without_locks(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", without_locks)
    with pytest.raises(ProgramError, match=r"without locks \(Function not implemented\).*-o writes another file"):
        pte.set_budget(path, 7)
    assert path.read_bytes() == saved
    pte.set_budget(path, 7, output=path.with_name("b.pte"))
    assert sum(engine.baked_budget or 0 for engine in pte.read(path.with_name("b.pte")).engines) == 7


@pytest.mark.parametrize("what", ["written to", "replaced", "removed"])
@pytest.mark.parametrize("name", ["saved", "one"])
def test_a_file_that_changes_meanwhile(
    path: Path, pte_folder: Path, monkeypatch: pytest.MonkeyPatch, what: str, name: str
) -> None:
    if name == "one":
        path.write_bytes((pte_folder / "one.pte").read_bytes())
    real_bake = budget.bake
    engine = pte.read(path).engines[0].name
    contents = path.read_bytes()

    def bake(*arguments: Any) -> Any:
        if what == "written to":
            os.utime(path, (0, 0))
        elif what == "replaced":
            (path.parent / "new").write_bytes(contents)
            os.replace(path.parent / "new", path)
        else:
            path.unlink()
        return real_bake(*arguments)

    monkeypatch.setattr(budget, "bake", bake)
    with pytest.raises(ProgramError, match="changed or replaced meanwhile"):
        pte.set_budget(path, {engine: 2**60})
    assert what == "removed" or path.read_bytes() == contents
    assert [each.name for each in path.parent.iterdir()] == ([] if what == "removed" else ["a.pte"])


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_disk_that_fails(path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fail(*arguments: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(ProgramError, match=r"Input/output error.*the old budget or the new one"):
        pte.set_budget(path, 7000)
    monkeypatch.undo()
    assert baked(path) == {"d": None, "q": None}


# A writer that is killed before, after or in the middle of any call that changes the disk.
KILLED = """
import os, signal, sys
from torchtrt_ws import pte
path, value, at, how = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
count = 0
def wrap(name):
    real = getattr(os, name)
    def call(*arguments, **keywords):
        global count
        count += 1
        if count == at and how == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        if count == at and how == "half" and name == "pwrite":
            descriptor, data, position = arguments
            if position == 0:  # four bytes in one piece: the kernel does not stop in them
                os.kill(os.getpid(), signal.SIGKILL)
            real(descriptor, data[: len(data) // 2], position)
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **keywords)
        if count == at and how != "before":
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(os, name, call)
for name in ("pwrite", "fdatasync", "fsync", "replace", "copy_file_range"):
    wrap(name)
pte.set_budget(path, {name: value for name in (e.name for e in pte.read(path).engines)})
print(count)
"""


@pytest.mark.parametrize("how", ["before", "half", "after"])
@pytest.mark.parametrize("kind", ["room", "anew"])
def test_a_writer_that_is_killed_anywhere(
    path: Path, saved: bytes, pte_folder: Path, tmp_path: Path, kind: str, how: str
) -> None:
    original = saved if kind == "room" else (pte_folder / "several.pte").read_bytes()
    path.write_bytes(original)
    old, else_before = baked(path), all_else(path)
    new = dict.fromkeys(old, 2**50)
    seen = set()
    for at in range(1, 20):
        path.write_bytes(original)
        done = python("-c", KILLED, path, 2**50, at, how)
        found = baked(path)
        assert found in (old, new), (at, how)
        assert all_else(path) == else_before
        as_executorch_reads_it(path)
        seen.add(found == new)
        if done.returncode == 0:
            assert found == new and at > int(done.stdout)
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    else:
        pytest.fail("the writer never finished")
    assert seen == {False, True}


def test_readers_see_the_old_budget_or_the_new_one(path: Path) -> None:
    """While a writer goes back and forth, as fast as it can."""
    both = [{"d": 1, "q": 1}, {"d": budget.MAX_BYTES, "q": budget.MAX_BYTES}]
    pte.set_budget(path, both[0])
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            turn = 1 - turn
            pte.set_budget(path, both[turn])
            time.sleep(0.02)  # a reader that takes longer than two changes would see a third

    writer = threading.Thread(target=write)
    writer.start()
    try:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            contents = path.read_bytes()
            copy = path.with_name("copy.pte")
            copy.write_bytes(contents)
            assert baked(copy) in both
    finally:
        stop.set()
        writer.join()


def test_it_imports_nothing_heavy(path: Path) -> None:
    code = (
        "import sys, torchtrt_ws; torchtrt_ws.set_budget(sys.argv[1], 7000);"
        "print(sorted({'torch', 'executorch', 'numpy', 'flatbuffers', 'rich', 'typer'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_report_is_plain(path: Path) -> None:
    plain = pte.set_budget(path, 7000).as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["engines"] == [
        {"name": "d", "before": None, "after": 4500},
        {"name": "q", "before": None, "after": 2500},
    ]

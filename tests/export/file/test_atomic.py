"""The target is the old file or the whole new one, whatever goes wrong."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

import pytest

import torchtrt_ws
from torchtrt_ws.atomic import check_target, write_atomically, write_together


def put(content: bytes) -> Any:
    def write(file: BinaryIO) -> None:
        file.write(content)

    return write


def test_writes_a_new_file_and_replaces_an_old_one(tmp_path: Path) -> None:
    target = check_target(tmp_path / "a.pte")
    for content in (b"one", b"two, longer"):
        write_atomically(target, put(content))
        assert target.read_bytes() == content
    assert list(tmp_path.iterdir()) == [target]


def test_permissions_are_the_umask_s_or_the_old_file_s(tmp_path: Path) -> None:
    target = tmp_path / "a.pte"
    old = os.umask(0o027)
    try:
        write_atomically(target, put(b"one"))
    finally:
        os.umask(old)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    target.chmod(0o604)
    write_atomically(target, put(b"two"))
    assert stat.S_IMODE(target.stat().st_mode) == 0o604


def test_the_owner_and_the_group_stay(tmp_path: Path) -> None:
    """Whoever could read the old file can read the new one: root changes the budget of a service's program."""
    target = tmp_path / "a.pte"
    target.write_bytes(b"one")
    others = [group for group in os.getgroups() if group != os.getegid()]
    if os.geteuid() == 0:
        owner, group = 1234, 4321
    elif others:
        owner, group = os.geteuid(), others[0]
    else:
        pytest.skip("a user with one group cannot give files away")
    os.chown(target, owner, group)
    target.chmod(0o640)
    write_atomically(target, put(b"two"))
    write_together([(target, put(b"three"))])
    status = target.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (owner, group, 0o640)
    assert target.read_bytes() == b"three"


def test_who_cannot_give_a_file_away_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.pte"
    target.write_bytes(b"one")
    target.chmod(0o640)

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchown", refused)
    write_atomically(target, put(b"two"))
    assert target.read_bytes() == b"two" and stat.S_IMODE(target.stat().st_mode) == 0o640


def without_locks(*_: object) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Lustre without its flock option: files are written there, and those of other writers are left alone."""
    other = tmp_path / ".torchtrt-ws-0123456789abcdef.tmp"
    other.write_bytes(b"half of it")
    os.utime(other, (0, 0))
    monkeypatch.setattr(fcntl, "flock", without_locks)
    target = tmp_path / "a.pte"
    for content in (b"one", b"two"):
        write_atomically(target, put(content))
        assert target.read_bytes() == content
    assert sorted(tmp_path.iterdir()) == [other, target]


def test_a_start_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.pte"
    target.write_bytes(b"one")
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "fchmod", without_locks)
    with pytest.raises(torchtrt_ws.ProgramError, match="Function not implemented"):
        write_atomically(target, put(b"two"))
    assert target.read_bytes() == b"one" and list(tmp_path.iterdir()) == [target]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.pte").write_bytes(b"old")
    link = tmp_path / "link.pte"
    link.symlink_to(tmp_path / "real" / "a.pte")
    write_atomically(check_target(link), put(b"new"))
    assert link.is_symlink()
    assert (tmp_path / "real" / "a.pte").read_bytes() == b"new"


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_a_failure_half_way_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "a.pte"
    target.write_bytes(b"old")

    def write(file: BinaryIO) -> None:
        file.write(b"half")
        file.flush()
        raise error

    expected = torchtrt_ws.ProgramError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected) as caught:
        write_atomically(target, write)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
    if isinstance(error, OSError):
        assert "No space left after 4 bytes" in str(caught.value)
        assert "Nothing was changed" in str(caught.value)


def test_what_a_killed_writer_left_goes_with_the_next_save(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from torchtrt_ws.atomic import write_atomically
def write(file):
    file.write(b"half"); file.flush()
    os.kill(os.getpid(), signal.SIGTERM)
write_atomically(Path(sys.argv[1]), write)
"""
    target = tmp_path / "a.pte"
    done = subprocess.run([sys.executable, "-c", script, str(target)], capture_output=True)
    assert done.returncode == -signal.SIGTERM
    (left,) = tmp_path.iterdir()
    assert left.read_bytes() == b"half"

    write_atomically(target, put(b"young"))  # a minute is left for a writer that has not locked its file yet
    assert left.exists()
    os.utime(left, (0, 0))
    write_atomically(target, put(b"new"))
    assert list(tmp_path.iterdir()) == [target]


def test_a_writer_that_lives_keeps_its_file(tmp_path: Path) -> None:
    def write(file: BinaryIO) -> None:
        (mine,) = tmp_path.iterdir()
        os.utime(mine, (0, 0))
        write_atomically(tmp_path / "b.pte", put(b"b"))
        file.write(b"a")

    write_atomically(tmp_path / "a.pte", write)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.pte": b"a", "b.pte": b"b"}


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_at_the_end_leaves_the_old_file(tmp_path: Path, monkeypatch: Any, call: str) -> None:
    target = tmp_path / "a.pte"
    target.write_bytes(b"old")

    def fail(*arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(torchtrt_ws.ProgramError, match="Input/output error"):
        write_atomically(target, put(b"new"))
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_disk_that_fails_early_is_not_forgotten(tmp_path: Path, monkeypatch: Any) -> None:
    """The kernel reports a failed write to the first sync only: here to one in the middle, not to the last."""
    target = tmp_path / "a.pte"
    target.write_bytes(b"old")
    failed = threading.Event()

    def fail(descriptor: int) -> None:
        failed.set()
        raise OSError(errno.EIO, "Input/output error")

    def write(file: BinaryIO) -> None:
        file.write(b"half")
        assert failed.wait(10)

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(torchtrt_ws.ProgramError, match="Input/output error"):
        write_atomically(target, write)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    """The kernel's own ENOSPC, from the device that gives nothing else."""
    real_open = os.open

    def open_full(path: Any, flags: int, mode: int = 0o777) -> int:
        descriptor = real_open(path, flags, mode)
        if str(path).endswith(".tmp"):
            os.close(descriptor)
            return real_open("/dev/full", os.O_WRONLY)
        return descriptor

    monkeypatch.setattr(os, "open", open_full)
    with pytest.raises(torchtrt_ws.ProgramError, match="No space left on device"):
        write_atomically(tmp_path / "a.pte", put(bytes(1 << 20)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        pytest.param(3, "path: found 3", id="a number"),
        pytest.param("", "path: found ''", id="empty"),
        pytest.param(b"a.pte", "path: found b'a.pte'", id="bytes"),
        pytest.param("a\0.pte", "path: found", id="NUL"),
        pytest.param("{folder}", "found a folder", id="a folder"),
        pytest.param("{folder}/none/a.pte", "no folder", id="in no folder"),
        pytest.param("/dev/null", "not a regular file", id="a device"),
        pytest.param("{folder}/" + "a" * 300, "name too long", id="too long"),
    ],
)
def test_targets_are_refused_before_the_work(tmp_path: Path, path: Any, words: str) -> None:
    given = path.format(folder=tmp_path) if isinstance(path, str) else path
    with pytest.raises(torchtrt_ws.ProgramError, match=words):
        torchtrt_ws.save(None, given)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_permission_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(os, "access", lambda *arguments: False)  # root may write anywhere: chmod shows nothing
    with pytest.raises(torchtrt_ws.ProgramError, match="may not write"):
        check_target(tmp_path / "a.pte")


def test_a_failed_save_leaves_the_old_program(saved: Path, tmp_path: Path, exported: Any, monkeypatch: Any) -> None:
    """The whole of save, with a disk that fills up while the engine is streamed."""
    from torchtrt_ws.export.engine.payload import StreamedPayload

    target = tmp_path / "a.pte"
    target.write_bytes(saved.read_bytes())

    def fail(self: object, file: BinaryIO) -> None:
        file.write(bytes(4096))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(StreamedPayload, "write_to", fail)
    with pytest.raises(torchtrt_ws.ProgramError, match="No space left on device"):
        torchtrt_ws.save(exported, target)
    assert target.read_bytes() == saved.read_bytes()
    assert list(tmp_path.iterdir()) == [target]


def test_files_that_belong_together(tmp_path: Path) -> None:
    targets = [tmp_path / name for name in ("a.ptd", "a.pte")]
    for content in (b"one", b"two"):
        write_together([(target, put(content)) for target in targets])
        assert [target.read_bytes() for target in targets] == [content] * 2
        assert sorted(tmp_path.iterdir()) == targets


@pytest.mark.parametrize("fails", ["writer", "rename"])
@pytest.mark.parametrize("existed", [True, False])
def test_all_of_them_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existed: bool, fails: str) -> None:
    targets = [tmp_path / name for name in ("a.ptd", "a.pte")]
    if existed:
        for target in targets:
            target.write_bytes(b"old")
    rename = os.replace

    def fail(source: Any, target: Any) -> None:
        if fails == "rename" and Path(target).name == "a.pte":
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    def write(file: BinaryIO) -> None:
        if fails == "writer":
            raise RuntimeError("a bug")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises((RuntimeError, torchtrt_ws.ProgramError)):
        write_together([(targets[0], put(b"new")), (targets[1], write)])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == (
        {target.name: b"old" for target in targets} if existed else {}
    )


def test_what_is_kept_for_a_failure_is_nobody_s_leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process writes to the folder between the two renames, and the second one fails."""
    targets = [tmp_path / name for name in ("a.ptd", "a.pte")]
    for target in targets:
        target.write_bytes(b"old")
        os.utime(target, (0, 0))
    rename = os.replace

    def fail(source: Any, target: Any) -> None:
        if Path(target).name == "a.pte":
            code = "import sys; from pathlib import Path; from torchtrt_ws.atomic import write_atomically as w;"
            code += "w(Path(sys.argv[1]), lambda file: file.write(b'other'))"
            subprocess.run([sys.executable, "-c", code, tmp_path / "other"], check=True)
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(torchtrt_ws.ProgramError, match="Input/output error"):
        write_together([(target, put(b"new")) for target in targets])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.ptd": b"old",
        "a.pte": b"old",
        "other": b"other",
    }

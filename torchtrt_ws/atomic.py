"""Writing a file so that its target is either the old file or the whole new one."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from torchtrt_ws.errors import ProgramError

__all__ = ["check_target", "write_atomically", "write_together"]

_PREFIX, _SUFFIX = ".torchtrt-ws-", ".tmp"  # of a file that is being written
_YOUNG = 60  # seconds
_SYNC_EVERY = 0.05  # seconds
_NEW_FILE_MODE = 0o666  # less the umask, as open() does


def check_target(path: str | os.PathLike[str]) -> Path:
    """Finds out before the work what would fail after it.

    Args:
        path: Where a file is to be written. A link is followed.

    Returns:
        The real path.

    Raises:
        ProgramError: Not a path, a folder that is missing or not writable, or a target that is not a regular file.
    """
    try:
        name = os.fspath(path)
    except TypeError:
        name = None
    if not isinstance(name, str) or not name or "\0" in name:
        raise ProgramError("path", repr(path), "the path of the file to write", "Give a str or a pathlib.Path.")
    target = Path(os.path.realpath(name))
    with _clear_errors(target):  # a name that is too long
        taken = target.exists() and not target.is_file()
    if taken:
        found = "a folder" if target.is_dir() else "something that is not a regular file"
        raise ProgramError(name, found, "a file to write, or none yet", "Give the path of a file.")
    folder = target.parent
    if not folder.is_dir():
        raise ProgramError(
            name, f"no folder {str(folder)!r}", "a folder that exists", "Create it, or give another path."
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        found = f"a folder {str(folder)!r} that this process may not write to"
        raise ProgramError(name, found, "a writable folder", "Change its permissions, or give another path.")
    return target


def write_atomically(target: Path, write: Callable[[BinaryIO], None], *, new_mode: int | None = None) -> None:
    """Writes beside the target, syncs, renames. Whatever fails, the target keeps what it held, and nothing is left.

    Args:
        target: A real path (`check_target` returns one). An existing file keeps its permissions, and its owner and
            group as far as the system lets this process give files away.
        write: Writes the content to the open file.
        new_mode: For a file that must be new, as a key is: its permissions from its first byte on, less the umask.

    Raises:
        ProgramError: The system refused: a full disk, no permission, a quota; or with `new_mode` there is a file.
            Errors of `write` itself pass through.
    """
    with _clear_errors(target):
        descriptor, temporary = _create_beside(target, new_mode)
    try:
        with _clear_errors(target, temporary):
            with open(descriptor, "wb") as file:
                with _synced_early(file.fileno()):
                    write(file)
                    file.flush()
                os.fsync(file.fileno())
            if new_mode is None:
                os.replace(temporary, target)
            else:
                os.link(temporary, target)  # fails where there is a file; a rename would replace it
                temporary.unlink()
    except BaseException:  # also an interrupt
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def write_together(files: Sequence[tuple[Path, Callable[[BinaryIO], None]]]) -> None:
    """Writes several files that belong together: all of them are whole and synced before the first one is replaced.

    Whatever fails before that leaves every target as it was; when a rename fails, those before it are taken back. Two
    renames are not one step: between them, for as long as one takes, there is the new first file beside the old second
    one, and a machine that stops there keeps that. So the second must be one that does not take the first for its own.

    Args:
        files: Real paths (`check_target` returns one) and what writes each, in the order of the renames.

    Raises:
        ProgramError: As `write_atomically`. Errors of the writers pass through.
    """
    with ExitStack() as stack:
        written = []
        for target, write in files:
            with _clear_errors(target):
                descriptor, temporary = _create_beside(target)
            stack.callback(temporary.unlink, missing_ok=True)
            with _clear_errors(target, temporary), open(descriptor, "wb") as file:
                with _synced_early(file.fileno()):
                    write(file)
                    file.flush()
                os.fsync(file.fileno())
            written.append((target, temporary))
        _replace_all(written)
    for folder in {target.parent for target, _ in files}:
        _sync_folder(folder)


def _replace_all(written: Sequence[tuple[Path, Path]]) -> None:
    """Renames each (target, temporary); takes the first ones back when a later one fails."""
    replaced: list[tuple[Path, Path | None]] = []
    kept: list[Path] = []
    held: list[int] = []
    try:
        for target, temporary in written:
            with _clear_errors(target):
                held += _held(target)
                old = _link_beside(target) if len(written) > 1 else None
                kept.extend([old] if old is not None else [])
                os.replace(temporary, target)
            replaced.append((target, old))
    except BaseException:
        for target, old in reversed(replaced):
            if old is not None:
                os.replace(old, target)
            else:
                target.unlink(missing_ok=True)
        raise
    finally:
        for old in kept:
            old.unlink(missing_ok=True)
        for descriptor in held:
            os.close(descriptor)


def _held(path: Path) -> list[int]:
    """Locks a file, so that nobody takes another name of it for what a killed writer left: it is old, and has such a
    name. Its descriptor; none where there is no file, or none to be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return [descriptor]


def _link_beside(target: Path) -> Path | None:
    """Another name for what is at a target now; None where there is nothing."""
    if not target.exists():
        return None
    name = target.with_name(f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}")
    try:
        os.link(target, name)
    except OSError:  # a file system without links
        shutil.copy2(target, name)
    return name


@contextmanager
def _synced_early(descriptor: int) -> Iterator[None]:
    """Sends to the disk what is written while more is written, so that the sync at the end finds little to wait for.

    (Without it 0.55 of 1.6 s for 1 GiB on a virtual disk.)
    """
    stop = threading.Event()
    failed: list[OSError] = []

    def sync() -> None:
        while not failed and not stop.wait(_SYNC_EVERY):
            try:
                os.fdatasync(descriptor)
            except OSError as error:
                failed.append(error)  # the kernel tells of it once: the sync at the end would succeed

    thread = threading.Thread(target=sync, name="sync", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failed:
        raise failed[0]


def _create_beside(target: Path, new_mode: int | None = None) -> tuple[int, Path]:
    """A new, empty file in the target's folder: rename() is atomic only within one file system."""
    status = target.stat() if new_mode is None and target.exists() else None
    _remove_left_behind(target.parent)
    temporary = target.with_name(f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, new_mode or _NEW_FILE_MODE)
    try:
        # For as long as this process writes: tells others that it lives. Where a file system has no locks (as Lustre
        # may), the others cannot take one either, and leave the file alone.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        if status is not None:
            _keep_owner(descriptor, status)
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode))  # behind the owner: changing that takes bits away
    except BaseException:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)
        raise
    return descriptor, temporary


def _keep_owner(descriptor: int, status: os.stat_result) -> None:
    """Gives an open file the owner and group of `status`: who could read the old file is to read the new one."""
    for owner, group in ((status.st_uid, status.st_gid), (-1, status.st_gid)):  # the group alone: others than root may
        try:
            os.fchown(descriptor, owner, group)
        except OSError:  # not ours to give away, or a file system without owners
            continue
        return


def _remove_left_behind(folder: Path) -> None:
    """Removes temporary files of writers that were killed: nobody holds their lock any more."""
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # somebody else's, or gone by now
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A writer makes its file before it locks it. A minute is enough for that, on any machine.
            if time.time() - os.fstat(descriptor).st_mtime > _YOUNG:
                path.unlink(missing_ok=True)
        except OSError:
            pass  # its writer lives
        finally:
            os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself durable. Not every file system syncs folders: the file is whole all the same."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


@contextmanager
def _clear_errors(target: Path, temporary: Path | None = None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        written = ""
        if temporary is not None and temporary.exists():
            written = f" after {temporary.stat().st_size} bytes"
        raise ProgramError(
            str(target),
            f"{error.strerror or error}{written}",
            "a place with room for the file, where this process may write",
            "Nothing was changed. Free space or give another path, and save again.",
        ) from error

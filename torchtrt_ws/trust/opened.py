"""A file that is opened once: what was verified is what is read from then on.

A path may name another file a moment later, and a file may have other bytes. So the file is opened once, copied into
memory of this process that is sealed against writing, and that copy is hashed and handed on. Without the copy, the
descriptor that was hashed is handed on: a file that takes its place does no harm then, but who can write into that very
file still can change it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torchtrt_ws.errors import CapacityError, ProgramError, WeightStreamingError
from torchtrt_ws.identifiers import SIGNATURE_SUFFIX
from torchtrt_ws.trust import keys
from torchtrt_ws.trust.manifest import MAX_FILE_BYTES, SignedManifest, decode

__all__ = ["VerifiedFile", "by_descriptor", "opened", "opened_verified", "seal", "sha256_of", "signature_path"]

_CHUNK = 1 << 20  # bytes
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
_SIGN_IT = "Get the .pte and its .sig again from who signed them."


@dataclass(frozen=True)
class VerifiedFile:
    """An open file that was verified: its descriptor, while the context lasts, and what was signed."""

    descriptor: int
    signed: SignedManifest


def signature_path(path: str | os.PathLike[str]) -> str:
    """Where a file's signature is: beside it, with ".sig" behind its name.

    Args:
        path: The file.
    """
    return os.fspath(path) + SIGNATURE_SUFFIX


@contextmanager
def opened_verified(
    path: str | os.PathLike[str],
    trusted_keys: Iterable[keys.Key],
    *,
    signature: str | os.PathLike[str] | None = None,
    copy: bool = True,
) -> Iterator[VerifiedFile]:
    """Opens a .pte that one of the keys signed, for as long as the context lasts.

    The signature is verified before the file is read, and no more of the file is read than was signed.

    Args:
        path: The .pte.
        trusted_keys: Public Ed25519 keys in PEM, for each the path or the content.
        signature: The signature file; `path` with ".sig" behind it by default.
        copy: Verify and hand on a copy in memory that nobody can change any more; it takes the file's size. Else the
            file itself.

    Returns:
        The open file.

    Raises:
        ProgramError: The signature is missing, malformed, of a newer schema, by another key or of another file; a key
            or the file cannot be read.
        CapacityError: No memory for the copy.
        EngineError: `cryptography` is not installed.
    """
    signed = _verified_manifest(signature_path(path) if signature is None else signature, trusted_keys)
    manifest, name = signed.manifest, str(path)
    with opened(path) as original:
        size = os.fstat(original).st_size
        if size != manifest.size:
            raise ProgramError(name, f"{size} bytes", f"the {manifest.size} bytes that were signed", _SIGN_IT)
        descriptor = _sealed_copy(original, size, name) if copy else original
        try:
            if (found := sha256_of(descriptor, 0, size)) != manifest.sha256:
                expected = f"the bytes that were signed, SHA-256 {manifest.sha256}"
                raise ProgramError(name, f"bytes of SHA-256 {found}", expected, _SIGN_IT)
            yield VerifiedFile(descriptor, signed)
        finally:
            if copy:
                os.close(descriptor)


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[int]:
    """Opens a regular file to read.

    Args:
        path: The file.

    Returns:
        Its descriptor, while the context lasts.

    Raises:
        ProgramError: Missing, not a regular file, or not readable.
    """
    name = str(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # not to wait for the writer of a pipe
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        found = getattr(error, "strerror", None) or str(error)
        raise ProgramError(name, found, "a readable file", "Check the path.") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ProgramError(name, "not a regular file", "a .pte", "Give the path of a saved program.")
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def by_descriptor(path: str | os.PathLike[str], descriptor: int) -> Iterator[str]:
    """For what takes paths only: a path of the open file, wherever its name points by now. Errors tell its name.

    Args:
        path: What the file is called.
        descriptor: The open file.

    Returns:
        The path, good in this process while the descriptor is open.

    Raises:
        ProgramError: This system has no /proc.
    """
    source = f"/proc/self/fd/{descriptor}"
    if not Path(source).exists():
        raise ProgramError(source, "nothing", "the open file (Linux, with /proc mounted)", "Mount /proc.")
    try:
        yield source
    except WeightStreamingError as error:
        error.subject = error.subject.replace(source, str(path))
        error.args = (error.subject, *error.args[1:])
        raise


def seal(descriptor: int) -> None:
    """Ends all changes of a file in memory, by this process too: memfd_create(2).

    Args:
        descriptor: From `os.memfd_create` with MFD_ALLOW_SEALING.

    Raises:
        OSError: Another file.
    """
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)


def sha256_of(descriptor: int, offset: int, size: int) -> str:
    """The SHA-256 of a part of an open file, as hex digits; never more than 1 MiB of it in memory.

    Args:
        descriptor: The file.
        offset: Where the part starts, in bytes.
        size: How many bytes it has. A file that ends before is hashed to its end.
    """
    digest = hashlib.sha256()
    end = offset + size
    while offset < end and (chunk := os.pread(descriptor, min(_CHUNK, end - offset), offset)):
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest()


def _verified_manifest(path: str | os.PathLike[str], trusted_keys: Iterable[keys.Key]) -> SignedManifest:
    trusted = keys.read_trusted(trusted_keys)
    subject = str(path)
    try:
        with opened(path) as descriptor:
            content = _read(descriptor)
    except ProgramError as error:
        next_step = "`torchtrt-ws sign` makes one; without trusted keys, none is asked for."
        raise ProgramError(subject, error.found, "the signature of a trusted key", next_step) from None
    signed = decode(content, subject)
    key = trusted.get(signed.key_id)
    if key is None:
        expected = f"a signature by one of the trusted keys ({', '.join(sorted(trusted))})"
        raise ProgramError(subject, f"one by the key {signed.key_id}", expected, _SIGN_IT)
    if not keys.is_valid(key, signed.signature, signed.signed):
        raise ProgramError(subject, "a signature that its key did not make", "one of this manifest", _SIGN_IT)
    return signed


def _read(descriptor: int) -> bytes:
    content = b""
    while len(content) <= MAX_FILE_BYTES and (chunk := os.read(descriptor, _CHUNK)):
        content += chunk
    return content


def _sealed_copy(original: int, size: int, name: str) -> int:
    """A copy that has no name and that nobody can change, this process included: memfd_create(2)."""
    copy = -1
    try:
        copy = os.memfd_create("torchtrt_ws", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        sent = 0
        while sent < size:
            count = os.sendfile(copy, original, sent, size - sent)
            if count == 0:
                break  # shorter by now: its digest will tell
            sent += count
        seal(copy)
    except BaseException as error:
        if copy >= 0:
            os.close(copy)
        if not isinstance(error, OSError):
            raise
        next_step = "Free memory; or map the file with mmap=True, if only you can write to it."
        raise CapacityError(name, error.strerror or str(error), f"memory for {size} bytes of it", next_step) from None
    return copy

"""sign() and verify(): a .pte, and the signature file beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from torchtrt_ws import pte
from torchtrt_ws.atomic import check_target, write_atomically
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.trust import keys
from torchtrt_ws.trust.manifest import MAX_FILE_BYTES, Manifest, SignedEngine, SignedManifest, encode, message
from torchtrt_ws.trust.opened import by_descriptor, opened, opened_verified, sha256_of, signature_path

__all__ = ["sign", "verify"]


def sign(
    path: str | os.PathLike[str], private_key: keys.Key, *, signature: str | os.PathLike[str] | None = None
) -> Path:
    """Signs a .pte. The file itself stays as it is.

    Args:
        path: The .pte. Sign what you have made yourself, where nobody else can write.
        private_key: The path of a private Ed25519 key in PEM, or its content.
        signature: The signature file to write; `path` with ".sig" behind it by default.

    Returns:
        Where the signature is.

    Raises:
        ProgramError: The file is no program, an engine in it is not the one that its metadata record; the key cannot be
            read, or the signature cannot be written.
        EngineError: `cryptography` is not installed.
    """
    key = keys.read_private(private_key)
    target = check_target(signature_path(path) if signature is None else signature)
    if target == Path(os.path.realpath(path)):
        raise ProgramError(str(target), "the .pte itself", "another file for the signature", "Give another path.")
    with opened(path) as descriptor:
        size = os.fstat(descriptor).st_size
        with by_descriptor(path, descriptor) as source:
            engines = tuple(_engine(descriptor, engine) for engine in pte.read(source).engines)
        manifest = Manifest(size, sha256_of(descriptor, 0, size), engines)
    signed = message(manifest.as_dict())
    content = encode(SignedManifest(manifest, keys.key_id(key.public_key()), key.sign(signed), signed))
    if len(content) > MAX_FILE_BYTES:
        raise ProgramError(str(target), f"{len(engines)} engines", "what fits into 1 MiB", "Split the program.")
    write_atomically(target, lambda file: _write(file, content))
    return target


def verify(
    path: str | os.PathLike[str],
    trusted_keys: Iterable[keys.Key],
    *,
    signature: str | os.PathLike[str] | None = None,
) -> SignedManifest:
    """Checks that one of the keys signed a .pte, and that it is that file, to the byte. Looks at nothing else in it.

    What is true of the file now may be false when it is opened again: to load what was checked, give the keys to
    `torchtrt_ws.load`.

    Args:
        path: The .pte.
        trusted_keys: Public Ed25519 keys in PEM, for each the path or the content.
        signature: The signature file; `path` with ".sig" behind it by default.

    Returns:
        What was signed, and by which key.

    Raises:
        ProgramError: The signature is missing, malformed, of a newer schema, by another key or of another file; a key
            or the file cannot be read.
        EngineError: `cryptography` is not installed.
    """
    with opened_verified(path, trusted_keys, signature=signature, copy=False) as file:
        return file.signed


def _engine(descriptor: int, engine: pte.EngineInfo) -> SignedEngine:
    found = sha256_of(descriptor, engine.engine_offset, engine.engine_bytes)
    if engine.sha256 is not None and engine.sha256 != found:
        raise ProgramError(
            f"engine {engine.name!r}",
            f"bytes of SHA-256 {found}",
            f"those that the file records, {engine.sha256}",
            "The file is damaged: save or copy it again, and sign that.",
        )
    return SignedEngine(engine.name, found)


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(content)

"""Ed25519 keys in PEM: made, read, named. `cryptography` is imported here and nowhere else, in functions only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from torchtrt_ws.atomic import check_target, write_atomically
from torchtrt_ws.errors import EngineError, ProgramError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["Key", "is_valid", "key_id", "new_key", "read_private", "read_trusted"]

Key = str | os.PathLike[str] | bytes  # the path of a PEM file, or its content

_MAX_PEM_BYTES = 1 << 16
_PRIVATE_MODE, _PUBLIC_MODE = 0o600, 0o644
_MAKE_ONE = "`torchtrt-ws keygen KEY.pem` makes a pair."


def new_key(path: str | os.PathLike[str]) -> Path:
    """Makes a key pair: the private key in a file that only its owner may read, the public one beside it.

    Args:
        path: Of the private key, not encrypted; "release.pem" gets "release.pub.pem" beside it. Neither may exist.

    Returns:
        The path of the public key.

    Raises:
        ProgramError: One of the files exists, or cannot be written.
        EngineError: `cryptography` is not installed.
    """
    serialization, _, ed25519 = _cryptography()
    private_target = check_target(path)
    public_target = check_target(private_target.with_name(f"{private_target.stem}.pub{private_target.suffix}"))
    for target in (private_target, public_target):  # before anything is written; the writes look again
        if target.exists():
            raise ProgramError(str(target), "a file", "none yet", "A key is never replaced: give another path.")
    key = ed25519.Ed25519PrivateKey.generate()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(pem, pkcs8, serialization.NoEncryption())
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_atomically(private_target, lambda file: _write(file, private), new_mode=_PRIVATE_MODE)
    write_atomically(public_target, lambda file: _write(file, public), new_mode=_PUBLIC_MODE)
    return public_target


def key_id(key: Ed25519PublicKey) -> str:
    """A public key's name: the SHA-256 of its 32 bytes, as hex digits.

    Args:
        key: The key.
    """
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def read_private(key: Key) -> Ed25519PrivateKey:
    """Reads the key to sign with.

    Args:
        key: The path of a PEM file, or its content.

    Returns:
        The key.

    Raises:
        ProgramError: It cannot be read, is encrypted, or is no private Ed25519 key.
        EngineError: `cryptography` is not installed.
    """
    serialization, exceptions, ed25519 = _cryptography()
    subject, content = _content(key)
    expected = "a private Ed25519 key in PEM"
    try:
        found = serialization.load_pem_private_key(content, password=None)
    except TypeError:
        next_step = "Decrypt it where it is used: `openssl pkey -in KEY.pem`, and hand over the bytes."
        raise ProgramError(subject, "an encrypted key", expected + ", not encrypted", next_step) from None
    except (ValueError, exceptions.UnsupportedAlgorithm):
        raise ProgramError(subject, _kind(content), expected, _MAKE_ONE) from None
    if not isinstance(found, ed25519.Ed25519PrivateKey):
        raise ProgramError(subject, "a private key of another algorithm", expected, _MAKE_ONE)
    return cast("Ed25519PrivateKey", found)


def read_trusted(keys: Iterable[Key]) -> dict[str, Ed25519PublicKey]:
    """Reads the keys to trust, all of them: one that cannot be read is an error, even if another would do.

    Args:
        keys: For each the path of a PEM file, or its content.

    Returns:
        The keys by their ids.

    Raises:
        ProgramError: None at all, or one that cannot be read or is no public Ed25519 key.
        EngineError: `cryptography` is not installed.
    """
    subject, expected = "trusted_keys", "a list of public keys, at least one"
    if isinstance(keys, (str, bytes, os.PathLike)):
        raise ProgramError(subject, "one key", expected, "Put it into a list.")
    try:
        listed = list(keys)
    except TypeError:
        raise ProgramError(subject, repr(keys)[:80], expected, "Give paths, or the content of PEM files.") from None
    if not listed:
        raise ProgramError(subject, "no key", expected, "With None, no signature is looked at.")
    return {key_id(public): public for public in map(_read_public, listed)}


def is_valid(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """True if `key` made the signature.

    Args:
        key: The key.
        signature: 64 bytes.
        message: What was signed.
    """
    _, exceptions, _ = _cryptography()
    try:
        key.verify(signature, message)
    except exceptions.InvalidSignature:
        return False
    return True


def _read_public(key: Key) -> Ed25519PublicKey:
    serialization, exceptions, ed25519 = _cryptography()
    subject, content = _content(key)
    expected = "a public Ed25519 key in PEM"
    try:
        found = serialization.load_pem_public_key(content)
    except (ValueError, exceptions.UnsupportedAlgorithm):
        next_step = "Give the file that ends in .pub.pem, and keep the private key where you sign."
        raise ProgramError(subject, _kind(content), expected, next_step) from None
    if not isinstance(found, ed25519.Ed25519PublicKey):
        raise ProgramError(subject, "a public key of another algorithm", expected, _MAKE_ONE)
    return cast("Ed25519PublicKey", found)


def _content(key: Key) -> tuple[str, bytes]:
    """What to call a key in errors, and its PEM."""
    if isinstance(key, bytes):
        return "key", key
    try:
        path = os.fspath(key)
    except TypeError:
        raise ProgramError("key", repr(key)[:80], "a path, or the bytes of a PEM file", _MAKE_ONE) from None
    try:
        with open(path, "rb") as file:
            return str(path), file.read(_MAX_PEM_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        found = getattr(error, "strerror", None) or str(error)
        raise ProgramError(str(path), found, "a key in a PEM file", "Check the path.") from None


def _kind(content: bytes) -> str:
    """What a text that cannot be read as a key is, without any of its bytes: it may be a secret."""
    for label in (b"PRIVATE KEY", b"PUBLIC KEY", b"CERTIFICATE"):
        if label in content:
            return f"a {label.decode().lower()}"
    return f"{len(content)} bytes that are no key"


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(content)


def _cryptography() -> tuple[Any, Any, Any]:
    try:
        from cryptography import exceptions
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise EngineError(
            "signatures", "no module 'cryptography'", "it, for Ed25519", "pip install torchtrt-ws[sign]"
        ) from None
    return serialization, exceptions, ed25519

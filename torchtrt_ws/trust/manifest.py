"""The signature file: what was signed, by which key, in one form only. Pure: bytes in, a value or an error out.

`FILE.pte.sig` is one JSON object in its canonical form (ASCII, sorted keys, no spaces, one newline at the end):

    {"key_id": 64 hex digits, "manifest": {"engines": [{"name", "sha256"}], "schema": 1, "sha256", "size"},
     "signature": 128 hex digits}

The signature is over `MESSAGE_PREFIX` and the manifest in its canonical form. Readers ignore further keys of a
manifest, refuse a higher schema, and refuse a file in any other form: of one signature there is one file.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from torchtrt_ws.errors import ProgramError

__all__ = ["MAX_FILE_BYTES", "SCHEMA", "Manifest", "SignedEngine", "SignedManifest", "decode", "encode", "message"]

SCHEMA = 1  # a higher one is refused; a new key that may be ignored keeps it
MAX_FILE_BYTES = 1 << 20  # of a signature file; an engine takes 150
MESSAGE_PREFIX = b"torchtrt-ws manifest\n"  # so that nothing else which the key signs can pass for a manifest

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_KEYS = {"key_id", "manifest", "signature"}
_NEXT = "Take the signature file that was made with the .pte, or sign it again."


@dataclass(frozen=True)
class SignedEngine:
    """An engine of the signed file: its name, and the SHA-256 of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What is signed: the size of the file in bytes, its SHA-256, and the engines that the signer found in it."""

    size: int
    sha256: str
    engines: tuple[SignedEngine, ...]

    def as_dict(self) -> dict[str, Any]:
        """The manifest as it is written."""
        engines = [{"name": engine.name, "sha256": engine.sha256} for engine in self.engines]
        return {"schema": SCHEMA, "size": self.size, "sha256": self.sha256, "engines": engines}


@dataclass(frozen=True)
class SignedManifest:
    """A manifest, the id of the key that signed it (SHA-256 of the raw public key) and the signature's 64 bytes.

    `signed` are the bytes that the signature is over.
    """

    manifest: Manifest
    key_id: str
    signature: bytes
    signed: bytes


def message(manifest: dict[str, Any]) -> bytes:
    """The bytes to sign.

    Args:
        manifest: As `Manifest.as_dict` gives it.
    """
    return MESSAGE_PREFIX + _canonical(manifest)


def encode(signed: SignedManifest) -> bytes:
    """The content of a signature file.

    Args:
        signed: The manifest and its signature.
    """
    return _file(signed.manifest.as_dict(), signed.key_id, signed.signature.hex())


def decode(content: bytes, subject: str) -> SignedManifest:
    """Reads a signature file, which may be anything. Whether the signature is valid is another question.

    Args:
        content: All of it.
        subject: The file, for errors.

    Returns:
        What it says.

    Raises:
        ProgramError: Too large, truncated, changed, no signature file, or of a newer schema.
    """
    if len(content) > MAX_FILE_BYTES:
        raise _malformed(subject, f"more than {MAX_FILE_BYTES} bytes")
    try:
        envelope = json.loads(content.decode("ascii"))
    except (ValueError, RecursionError):  # ValueError: no ASCII, no JSON, a number of too many digits
        raise _malformed(subject, f"{len(content)} bytes that are no JSON") from None
    if not isinstance(envelope, dict) or envelope.keys() != _KEYS or not isinstance(envelope["manifest"], dict):
        raise _malformed(subject, "another JSON")
    plain, key_id, signature = envelope["manifest"], envelope["key_id"], envelope["signature"]
    schema: Any = plain.get("schema")
    if _is_count(schema) and schema > SCHEMA:
        raise ProgramError(
            subject, f"schema {schema}", f"a signature of schema {SCHEMA}", "Load it with a newer torchtrt-ws."
        )
    if not _is_count(schema) or schema != SCHEMA:
        raise _malformed(subject, f"schema {schema!r:.40}")
    if not _matches(_DIGEST, key_id) or not _matches(_SIGNATURE, signature):
        raise _malformed(subject, "a key id or signature that is cut or no hex")
    manifest = _read(plain, subject)
    if _file(plain, key_id, signature) != content:
        raise _malformed(subject, "another form of the JSON")
    return SignedManifest(manifest, key_id, bytes.fromhex(signature), message(plain))


def _read(plain: dict[str, Any], subject: str) -> Manifest:
    size: Any = plain.get("size")
    sha256, engines = plain.get("sha256"), plain.get("engines")
    if not _is_count(size) or not _matches(_DIGEST, sha256) or not isinstance(engines, list):
        raise _malformed(subject, "a manifest without size, sha256 or engines")
    for engine in engines:
        if not isinstance(engine, dict) or not isinstance(engine.get("name"), str):
            raise _malformed(subject, "an engine without a name")
        if not _matches(_DIGEST, engine.get("sha256")):
            raise _malformed(subject, "an engine without a SHA-256")
    return Manifest(size, str(sha256), tuple(SignedEngine(each["name"], each["sha256"]) for each in engines))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63  # not bool


def _matches(form: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _canonical(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _file(manifest: dict[str, Any], key_id: str, signature: str) -> bytes:
    return _canonical({"key_id": key_id, "manifest": manifest, "signature": signature}) + b"\n"


def _malformed(subject: str, found: str) -> ProgramError:
    return ProgramError(subject, found, f"a signature file of schema {SCHEMA} as torchtrt-ws sign writes it", _NEXT)

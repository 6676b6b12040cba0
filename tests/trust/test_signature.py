"""sign() and verify(): what was signed passes, and nothing else does."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torchtrt_ws import pte, trust
from torchtrt_ws.errors import ProgramError, WeightStreamingError


def sign(program: Path, keys: Path) -> Path:
    return trust.sign(program, keys / "release.pem")


def test_round_trip(program: Path, keys: Path) -> None:
    content = program.read_bytes()
    assert sign(program, keys) == Path(f"{program}.sig")
    assert program.read_bytes() == content
    signed = trust.verify(program, [keys / "other.pub.pem", keys / "release.pub.pem"])
    assert (signed.manifest.size, signed.manifest.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    recorded = [(engine.name, engine.sha256) for engine in pte.read(program).engines]
    assert [(engine.name, engine.sha256) for engine in signed.manifest.engines] == recorded
    assert {name for name, _ in recorded} == {"query", "document"}


def test_keys_as_bytes_and_a_signature_elsewhere(program: Path, keys: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "signature"
    trust.sign(program, (keys / "release.pem").read_bytes(), signature=elsewhere)
    public = (keys / "release.pub.pem").read_bytes()
    assert trust.verify(program, (key for key in [public]), signature=elsewhere).manifest.size
    with pytest.raises(ProgramError, match=r"towers\.pte\.sig: found .*No such file"):
        trust.verify(program, [public])


def test_the_same_file_has_the_same_signature(program: Path, keys: Path) -> None:
    """Ed25519 is deterministic, and the file has one form: what signs in a build can be compared."""
    first = sign(program, keys).read_bytes()
    assert sign(program, keys).read_bytes() == first
    assert first == json.dumps(json.loads(first), sort_keys=True, separators=(",", ":")).encode() + b"\n"


def test_the_format_is_as_documented(program: Path, keys: Path) -> None:
    """Verified with `cryptography` alone, as somebody without torchtrt-ws would."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    envelope = json.loads(sign(program, keys).read_bytes())
    public: Any = load_pem_public_key((keys / "release.pub.pem").read_bytes())
    manifest = json.dumps(envelope["manifest"], sort_keys=True, separators=(",", ":")).encode()
    public.verify(bytes.fromhex(envelope["signature"]), b"torchtrt-ws manifest\n" + manifest)
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert envelope["key_id"] == hashlib.sha256(raw).hexdigest()
    assert envelope["manifest"].keys() == {"schema", "size", "sha256", "engines"}


@pytest.mark.parametrize("position", [0, 4, 40, 0.25, 0.5, 0.75, -1])
def test_a_changed_byte_of_the_file(program: Path, keys: Path, position: int | float) -> None:
    sign(program, keys)
    content = bytearray(program.read_bytes())
    content[int(position * len(content)) if isinstance(position, float) else position] ^= 1
    program.write_bytes(content)
    with pytest.raises(ProgramError, match="the bytes that were signed, SHA-256"):
        trust.verify(program, [keys / "release.pub.pem"])


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b""], ids=["less", "more", "none"])
def test_another_size(program: Path, keys: Path, change: Callable[[bytes], bytes]) -> None:
    sign(program, keys)
    program.write_bytes(change(program.read_bytes()))
    with pytest.raises(ProgramError, match="bytes that were signed"):
        trust.verify(program, [keys / "release.pub.pem"])


def test_another_key(program: Path, keys: Path) -> None:
    sign(program, keys)
    with pytest.raises(ProgramError, match=r"one by the key [0-9a-f]{64}; expected a signature by one of the trusted"):
        trust.verify(program, [keys / "other.pub.pem"])


def test_a_signature_by_another_key_that_claims_to_be_a_trusted_one(program: Path, keys: Path) -> None:
    path = sign(program, keys)
    trusted = json.loads(path.read_bytes())["key_id"]
    trust.sign(program, keys / "other.pem")
    rewrite(path, lambda envelope: {**envelope, "key_id": trusted})
    with pytest.raises(ProgramError, match="a signature that its key did not make"):
        trust.verify(program, [keys / "release.pub.pem"])


def rewrite(path: Path, change: Callable[[dict], dict]) -> None:
    """A signature file in its canonical form with another content."""
    envelope = change(json.loads(path.read_bytes()))
    path.write_bytes(json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode() + b"\n")


def manifest(**values: Any) -> Callable[[dict], dict]:
    return lambda envelope: {**envelope, "manifest": {**envelope["manifest"], **values}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (manifest(schema=2), "found schema 2; expected a signature of schema 1. Load it with a newer"),
        (manifest(schema=True), "found schema True"),
        (manifest(schema=1.0), "found schema 1.0"),
        (manifest(schema=0), "found schema 0"),
        (manifest(schema=None), "found schema None"),
        (manifest(size=1), "a signature that its key did not make"),
        (manifest(sha256="0" * 64), "a signature that its key did not make"),
        (manifest(engines=[]), "a signature that its key did not make"),
        (manifest(note="more"), "a signature that its key did not make"),
        (manifest(size=-1), "a manifest without size"),
        (manifest(size=True), "a manifest without size"),
        (manifest(size=1 << 63), "a manifest without size"),
        (manifest(sha256="../x"), "a manifest without size"),
        (manifest(engines={}), "a manifest without size"),
        (manifest(engines=[{"sha256": "0" * 64}]), "an engine without a name"),
        (manifest(engines=[{"name": "a", "sha256": "0"}]), "an engine without a SHA-256"),
        (lambda e: {**e, "manifest": []}, "another JSON"),
        (lambda e: {**e, "more": 1}, "another JSON"),
        (lambda e: {"manifest": e["manifest"]}, "another JSON"),
        (lambda e: {**e, "signature": e["signature"][:-2]}, "is cut or no hex"),
        (lambda e: {**e, "signature": ""}, "is cut or no hex"),
        (lambda e: {**e, "signature": e["signature"].upper()}, "is cut or no hex"),
        (lambda e: {**e, "signature": None}, "is cut or no hex"),
        (lambda e: {**e, "signature": "0" * 128}, "a signature that its key did not make"),
        (lambda e: {**e, "key_id": e["key_id"][:16]}, "is cut or no hex"),
        (lambda e: {**e, "key_id": "0" * 64}, "one by the key 000"),
    ],
)
def test_another_content_of_the_signature(
    program: Path, keys: Path, change: Callable[[dict], dict], words: str
) -> None:
    path = sign(program, keys)
    rewrite(path, change)
    with pytest.raises(ProgramError) as caught:
        trust.verify(program, [keys / "release.pub.pem"])
    assert words in str(caught.value) and str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b"",
        lambda b: b[: len(b) // 2],
        lambda b: b[:-1],
        lambda b: b + b" ",
        lambda b: b" " + b,
        lambda b: b.replace(b":", b": ", 1),
        lambda b: b.replace(b'{"key_id"', b'{"key_id":"","key_id"', 1),  # a key twice
        lambda b: b"[" * 100_000,
        lambda b: b'{"key_id":' + b"9" * 100_000 + b"}",
        lambda b: b" " * (2 << 20),
        lambda b: b"\xff\xfe" + b,
        lambda b: b.decode().encode("utf-16"),
        lambda b: b"null\n",
        lambda b: b"NaN\n",
    ],
)
def test_another_form_of_the_signature(program: Path, keys: Path, change: Callable[[bytes], bytes]) -> None:
    path = sign(program, keys)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ProgramError, match="a signature file of schema 1"):
        trust.verify(program, [keys / "release.pub.pem"])


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_no_signature_file(program: Path, keys: Path, kind: str) -> None:
    path = Path(f"{program}.sig")
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)  # nobody writes: open() must not wait
    with pytest.raises(ProgramError, match="expected the signature of a trusted key"):
        trust.verify(program, [keys / "release.pub.pem"])


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_flipped_bits_of_the_signature_file_never_verify(program: Path, keys: Path, data: st.DataObject) -> None:
    path = Path(f"{program}.sig")
    content = sign(program, keys).read_bytes()
    flips = data.draw(st.dictionaries(st.integers(0, len(content) - 1), st.integers(1, 255), min_size=1, max_size=4))
    path.write_bytes(bytes(byte ^ flips.get(i, 0) for i, byte in enumerate(content)))
    with pytest.raises(ProgramError):
        trust.verify(program, [keys / "release.pub.pem"])


@given(st.binary(min_size=64, max_size=64))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_other_signature_bytes_never_verify(program: Path, keys: Path, signature: bytes) -> None:
    path = sign(program, keys)
    if json.loads(path.read_bytes())["signature"] == signature.hex():
        return
    rewrite(path, lambda envelope: {**envelope, "signature": signature.hex()})
    with pytest.raises(ProgramError, match="a signature that its key did not make"):
        trust.verify(program, [keys / "release.pub.pem"])


@given(st.binary(max_size=400))
def test_any_bytes_are_an_error_of_ours(content: bytes) -> None:
    from torchtrt_ws.trust import manifest as module

    with pytest.raises(WeightStreamingError):
        module.decode(content, "a.sig")


def test_a_damaged_engine_is_not_signed(program: Path, keys: Path) -> None:
    engine = pte.read(program).engines[1]
    content = bytearray(program.read_bytes())
    content[engine.engine_offset + engine.engine_bytes - 1] ^= 1
    program.write_bytes(content)
    with pytest.raises(ProgramError, match=f"engine '{engine.name}': found bytes of SHA-256"):
        sign(program, keys)
    assert not Path(f"{program}.sig").exists()


def test_what_is_no_program_is_not_signed(program: Path, keys: Path) -> None:
    program.write_bytes(b"not a program at all")
    with pytest.raises(ProgramError) as caught:
        sign(program, keys)
    assert str(caught.value).startswith(f"{program}: found 20 bytes")  # by its name, not by the descriptor


def test_the_program_is_not_overwritten_by_its_signature(program: Path, keys: Path) -> None:
    with pytest.raises(ProgramError, match=r"the \.pte itself"):
        trust.sign(program, keys / "release.pem", signature=program)


def test_a_failed_write_leaves_the_old_signature(program: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sign(program, keys)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ProgramError, match="No space left"):
        trust.sign(program, keys / "other.pem")
    assert path.read_bytes() == before
    assert sorted(each.name for each in program.parent.iterdir()) == ["towers.pte", "towers.pte.sig"]

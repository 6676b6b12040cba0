"""Keys: who may read them, and what is none."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from torchtrt_ws import trust
from torchtrt_ws.errors import EngineError, ProgramError

PEM = serialization.Encoding.PEM


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_only_the_owner_may_read_a_private_key(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        public = trust.new_key(tmp_path / "release.pem")
    finally:
        os.umask(before)
    assert public == tmp_path / "release.pub.pem"
    assert stat.S_IMODE((tmp_path / "release.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) == 0o644 & ~umask
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release.pem", "release.pub.pem"]


@pytest.mark.parametrize("taken", ["release.pem", "release.pub.pem"])
def test_a_key_is_never_replaced(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("precious")
    with pytest.raises(ProgramError, match="A key is never replaced"):
        trust.new_key(tmp_path / "release.pem")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {taken: "precious"}


def test_not_even_one_that_appears_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "release.pem"
    link = os.link

    def late(source: Any, target: Any) -> None:
        path.write_text("precious")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(ProgramError, match="File exists"):
        trust.new_key(path)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def pem(key: Any, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encryption)


def public_pem(key: Any) -> bytes:
    return key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_what_is_no_private_key(program: Path, keys: Path, tmp_path: Path) -> None:
    release: Any = serialization.load_pem_private_key((keys / "release.pem").read_bytes(), None)
    cases: list[tuple[Any, str]] = [
        (tmp_path / "none.pem", "No such file"),
        (tmp_path, "Is a directory"),
        ("a\0b", "null"),
        (7, "expected a path, or the bytes"),
        (b"", "0 bytes that are no key"),
        (keys / "release.pub.pem", "found a public key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "of another algorithm"),
        (pem(release, b"secret"), "an encrypted key"),
        (b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", "found a private key"),
    ]
    for key, words in cases:
        with pytest.raises(ProgramError) as caught:
            trust.sign(program, key)
        assert words in str(caught.value)
        assert "c2VjcmV0" not in str(caught.value)  # no byte of what may be a secret
    assert not Path(f"{program}.sig").exists()


def test_what_is_no_public_key(program: Path, keys: Path, tmp_path: Path) -> None:
    trust.sign(program, keys / "release.pem")
    good = keys / "release.pub.pem"
    cases: list[tuple[Any, str]] = [
        ([], "found no key"),
        (str(good), "Put it into a list"),
        (good.read_bytes(), "Put it into a list"),
        (good, "Put it into a list"),
        (7, "expected a list of public keys"),
        ([good, tmp_path / "none.pem"], "No such file"),
        ([None], "expected a path, or the bytes"),
        ([keys / "release.pem"], "keep the private key where you sign"),
        ([public_pem(ec.generate_private_key(ec.SECP256R1()))], "of another algorithm"),
        ([good, b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"], "found a public key"),
    ]
    for trusted, words in cases:
        with pytest.raises(ProgramError) as caught:
            trust.verify(program, trusted)
        assert words in str(caught.value)


def test_without_cryptography(program: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(EngineError, match=r"pip install torchtrt-ws\[sign\]"):
        trust.verify(program, [keys / "release.pub.pem"])

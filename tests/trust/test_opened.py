"""What was verified is what is read from then on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchtrt_ws import trust
from torchtrt_ws.errors import CapacityError, ProgramError


@pytest.fixture
def signed(program: Path, keys: Path) -> Path:
    trust.sign(program, keys / "release.pem")
    return program


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


def content(descriptor: int) -> bytes:
    return os.pread(descriptor, 1 << 30, 0)


def test_a_copy_stays_as_it_was(signed: Path, keys: Path, original: bytes) -> None:
    with trust.opened_verified(signed, [keys / "release.pub.pem"]) as file:
        with signed.open("r+b") as writer:
            writer.write(b"changed")
        assert content(file.descriptor) == original


def test_nobody_can_write_to_the_copy(signed: Path, keys: Path, original: bytes) -> None:
    with trust.opened_verified(signed, [keys / "release.pub.pem"]) as file:
        writer = os.open(f"/proc/self/fd/{file.descriptor}", os.O_RDWR)
        try:
            for change in (
                lambda: os.pwrite(writer, b"x", 0),
                lambda: os.pwrite(writer, b"x", len(original)),
                lambda: os.ftruncate(writer, 10),
            ):
                with pytest.raises(PermissionError):
                    change()
        finally:
            os.close(writer)
        assert content(file.descriptor) == original


def test_without_a_copy_another_file_of_that_name_does_no_harm(signed: Path, keys: Path, original: bytes) -> None:
    with trust.opened_verified(signed, [keys / "release.pub.pem"], copy=False) as file:
        other = signed.with_name("other")
        other.write_bytes(b"another")
        other.rename(signed)
        assert content(file.descriptor) == original


def test_the_copy_is_verified_not_the_file(
    signed: Path, keys: Path, original: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody changes the file while it is copied, and changes it back."""
    sendfile = os.sendfile

    def meanwhile(out: int, source: int, offset: int, count: int) -> int:
        signed.write_bytes(b"\0" * len(original))
        sent = sendfile(out, source, offset, count)
        signed.write_bytes(original)
        return sent

    monkeypatch.setattr(os, "sendfile", meanwhile)
    with (
        pytest.raises(ProgramError, match="bytes of SHA-256"),
        trust.opened_verified(signed, [keys / "release.pub.pem"]),
    ):
        pass


def test_no_byte_of_a_file_is_copied_before_its_signature_is_good(
    signed: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "memfd_create", lambda *_: pytest.fail("copied"))
    with signed.open("ab") as file:
        file.truncate(1 << 40)  # sparse
    with (
        pytest.raises(ProgramError, match=f"{1 << 40} bytes"),
        trust.opened_verified(signed, [keys / "release.pub.pem"]),
    ):
        pass


def test_no_memory(signed: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "sendfile", full)
    with pytest.raises(CapacityError, match="mmap=True"), trust.opened_verified(signed, [keys / "release.pub.pem"]):
        pass

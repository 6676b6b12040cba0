"""load(trusted_keys=...): a signed program runs, another does not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import torchtrt_ws
from torchtrt_ws import trust
from torchtrt_ws.errors import ProgramError


@pytest.fixture
def signed(plain: Path, tmp_path: Path) -> Path:
    path = tmp_path / "signed.pte"
    shutil.copy(plain, path)
    trust.new_key(tmp_path / "key.pem")
    trust.sign(path, tmp_path / "key.pem")
    return path


@pytest.mark.parametrize("mmap", [None, False, True])
def test_a_signed_program_runs(signed: Path, x: np.ndarray, want: np.ndarray, mmap: bool | None) -> None:
    before = len(os.listdir("/proc/self/fd"))
    program = torchtrt_ws.load(signed, mmap=mmap, trusted_keys=[signed.with_name("key.pub.pem")])
    assert program.file == str(signed)
    if not mmap:  # a copy: what happens to the file no longer matters
        with signed.open("r+b") as file:
            file.write(bytes(signed.stat().st_size))
    program.engines[0].set_budget("50%")
    for _ in range(2):
        (got,) = program(x)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    del program
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the host engine's own file of packed weights


@pytest.mark.parametrize("mmap", [None, False, True])
def test_a_changed_program_does_not(signed: Path, mmap: bool | None) -> None:
    with signed.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(ProgramError, match="the bytes that were signed"):
        torchtrt_ws.load(signed, mmap=mmap, trusted_keys=[signed.with_name("key.pub.pem")])


def test_no_signature_and_no_key(plain: Path, signed: Path) -> None:
    public = signed.with_name("key.pub.pem")
    with pytest.raises(ProgramError, match="expected the signature of a trusted key"):
        torchtrt_ws.load(plain, trusted_keys=[public])
    with pytest.raises(ProgramError, match="found no key"):
        torchtrt_ws.load(signed, trusted_keys=[])  # trusts nobody: not the same as None
    assert torchtrt_ws.load(plain).engines
    Path(f"{signed}.sig").write_text("damaged")
    assert torchtrt_ws.load(signed).engines  # nobody asked


def test_errors_name_the_file(tmp_path: Path, signed: Path) -> None:
    """Not the descriptor that it is loaded through: here a program that is signed, and has no engine."""
    with pytest.raises(torchtrt_ws.BudgetError) as caught:
        torchtrt_ws.load(
            signed, weight_streaming_budget_per_engine={"none": 1}, trusted_keys=[signed.with_name("key.pub.pem")]
        )
    assert "/proc/" not in str(caught.value)

"""A plan that goes to a file while it is built."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.engine.plan_writer import PlanWriter

PIECES = [os.urandom(size) for size in (1, 3 << 20, 70_000, 5, 1 << 20, 0, 9)]


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    with PlanWriter(tmp_path) as plan:
        assert [plan.write(piece) for piece in PIECES] == [len(piece) for piece in PIECES]
        payload = plan.payload()
    data = b"".join(PIECES)
    assert list(tmp_path.iterdir()) == []  # it has no name
    assert payload.size == len(data) and payload.head == data[: len(payload.head)]
    assert payload.digests.sha256 == hashlib.sha256(data).hexdigest()  # of what was written, not read again
    for _ in range(2):
        file = io.BytesIO()
        payload.write_to(file)
        assert file.getvalue() == data


def test_a_full_disk_is_an_error_behind_the_builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with PlanWriter(tmp_path) as plan:
        assert plan.write(b"abc") == 3
        plan._wait(0)
        monkeypatch.setattr(plan, "_file", open("/dev/full", "wb", buffering=0))  # noqa: SIM115
        assert [plan.write(b"defg") for _ in range(4)][-1] == 0  # a thread writes: it is known a few pieces later
        with pytest.raises(ProgramError, match=r"No space left on device.*Free space"):
            plan.check()
        with pytest.raises(ProgramError, match="No space left on device"):
            plan.payload()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="No such file or directory"):
        PlanWriter(tmp_path / "missing")


def test_an_error_of_the_hash_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with PlanWriter(tmp_path) as plan:

        def fails(piece: bytes) -> None:
            raise KeyError("crc32c")

        monkeypatch.setattr(plan._hasher, "update", fails)
        assert [plan.write(piece) for piece in PIECES[:4]][-1] == 0
        with pytest.raises(KeyError):
            plan.payload()

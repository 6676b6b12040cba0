"""check_digests: whether engines are those that a file records, in constant memory and each once."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from crc32c import crc32c

from torchtrt_ws import pte
from torchtrt_ws.errors import EngineError, ProgramError
from torchtrt_ws.pte import engine_digests
from torchtrt_ws.pte.source import Source


@pytest.fixture
def several(pte_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "m.pte"
    path.write_bytes((pte_folder / "several.pte").read_bytes())
    return path


def contents(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [data[each.engine_offset : each.engine_offset + each.engine_bytes] for each in pte.read(path).engines]


def test_what_is_recorded_and_what_is_not(several: Path) -> None:
    found = pte.check_digests(several)
    assert [each.result for each in found.engines] == [
        "not recorded",
        "as recorded",
        "as recorded",
        "as recorded",
        "not recorded",
    ]
    assert [each.sha256 for each in found.engines] == [hashlib.sha256(each).hexdigest() for each in contents(several)]
    assert {each.crc32c for each in found.engines} == {None}
    assert found.all_as_recorded
    pte.annotate(several)
    found = pte.check_digests(several)
    assert {each.result for each in found.engines} == {"as recorded"}
    assert [each.crc32c for each in found.engines] == [f"{crc32c(each):08x}" for each in contents(several)]


def test_one_byte_of_one_engine(several: Path) -> None:
    pte.annotate(several)
    for index, engine in enumerate(pte.read(several).engines):
        with several.open("r+b") as file:
            file.seek(engine.engine_offset + engine.engine_bytes - 1)
            last = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([last[0] ^ 1]))
        found = pte.check_digests(several)
        assert not found.all_as_recorded
        assert [each.as_recorded for each in found.engines] == [each != index for each in range(5)]
        with several.open("r+b") as file:
            file.seek(engine.engine_offset + engine.engine_bytes - 1)
            file.write(last)
    assert pte.check_digests(several).all_as_recorded


def test_a_wrong_record(several: Path) -> None:
    """Either digest alone is enough to differ."""
    pte.annotate(several)
    data = several.read_bytes()
    engine = pte.read(several).engines[3]
    for recorded in (engine.sha256, engine.crc32c):
        assert recorded is not None
        other = ("0" if recorded[0] != "0" else "1") + recorded[1:]
        at = data.index(recorded.encode(), engine.payload_offset)
        several.write_bytes(data[:at] + other.encode() + data[at + len(other) :])
        assert [each.result for each in pte.check_digests(several).engines].count("differs") == 1


def test_equal_plans_are_read_once(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    pieces = Source.pieces
    monkeypatch.setattr(Source, "pieces", lambda self, at, size: read.append(at) or pieces(self, at, size))
    engines = pte.read(several).engines
    twice = (*engines, replace(engines[3], name="again"))
    report = replace(pte.read(several), engines=twice)
    monkeypatch.setattr(engine_digests, "read_open", lambda program: report)
    found = pte.check_digests(several)
    assert len(found.engines) == 6 and found.engines[5].sha256 == found.engines[3].sha256
    assert sorted(read) == sorted(each.engine_offset for each in engines)
    overlapping = replace(engines[3], name="again", engine_bytes=engines[3].engine_bytes - 1)
    report = replace(report, engines=(*engines, overlapping))
    with pytest.raises(ProgramError, match="engines that overlap"):
        pte.check_digests(several)


def test_progress_and_pieces(pte_folder: Path, tmp_path: Path) -> None:
    import torchtrt_ws

    plan = tmp_path / "a.plan"
    plan.write_bytes(b"ptrt" + os.urandom(3 * (1 << 20)))
    path = tmp_path / "a.pte"
    torchtrt_ws.save_plan(plan, path, inputs="x:float32:2", outputs="y:float32:2")
    told: list[tuple[int, int]] = []
    found = pte.check_digests(path, progress=lambda done, total: told.append((done, total)))
    assert found.engines[0].as_recorded
    size = plan.stat().st_size
    assert told == [(1 << 20, size), (2 << 20, size), (3 << 20, size), (size, size)]


def test_without_the_package(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no checksum is recorded, it is not needed."""
    pte.check_digests(several)
    monkeypatch.setitem(sys.modules, "crc32c", None)
    pte.check_digests(several)
    monkeypatch.undo()
    pte.annotate(several)
    monkeypatch.setitem(sys.modules, "crc32c", None)
    with pytest.raises(EngineError, match="pip install"):
        pte.check_digests(several)


def test_a_file_that_becomes_shorter(several: Path) -> None:
    def cut(done: int, total: int) -> None:
        os.truncate(several, 100)

    with pytest.raises(ProgramError, match="changed or replaced meanwhile"):
        pte.check_digests(several, progress=cut)

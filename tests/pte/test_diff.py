"""torchtrt_ws.pte.diff: what two programs differ in, and that nothing that differs goes unseen."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import torchtrt_ws
from torchtrt_ws import pte
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.pte import diff_program
from torchtrt_ws.pte.source import Source

Engines = dict[str, pte.EngineDiff]


def copy(folder: Path, name: str, target: Path) -> Path:
    target.write_bytes((folder / f"{name}.pte").read_bytes())
    return target


def engines(report: pte.ProgramDiff) -> Engines:
    return {engine.name: engine for engine in report.engines}


def statuses(report: pte.ProgramDiff) -> set[str]:
    return {method.status for method in report.methods} | {engine.status for engine in report.engines}


def changed(entry: pte.EngineDiff | pte.MethodDiff) -> dict[str, tuple[Any, Any]]:
    return {change.what: (change.a, change.b) for change in entry.changes}


@pytest.mark.parametrize("name", ["one", "inline", "several", "theirs", "apart", "xnnpack", "no_delegates"])
def test_a_copy_is_the_same(pte_folder: Path, tmp_path: Path, name: str) -> None:
    report = pte.diff(pte_folder / f"{name}.pte", copy(pte_folder, name, tmp_path / "b.pte"))
    assert report.same, report
    assert statuses(report) == {"same"}
    assert json.loads(json.dumps(report.as_dict()))["same"] is True


def test_where_things_lie_does_not_count(pte_folder: Path, tmp_path: Path) -> None:
    """An engine inside the flatbuffer or behind it; room for budgets, and which slot is in use."""
    assert pte.diff(pte_folder / "one.pte", pte_folder / "inline.pte").same
    path = copy(pte_folder, "several", tmp_path / "b.pte")
    for budget in (7, None):
        pte.set_budget(path, {"encoder": budget})
    assert pte.read(path).has_room
    assert pte.diff(pte_folder / "several.pte", path).same


def test_a_budget(pte_folder: Path, tmp_path: Path) -> None:
    path = copy(pte_folder, "several", tmp_path / "b.pte")
    pte.set_budget(path, {"tower-a": 1000, "engine4": None})
    report = pte.diff(pte_folder / "several.pte", path)
    assert not report.same and not report.rest
    assert {method.status for method in report.methods} == {"same"}
    found = engines(report)
    assert changed(found["tower-a"]) == {"baked_budget": (2**63 - 1, 1000)}
    assert changed(found["engine4"]) == {"baked_budget": (0, None)}
    assert "contents" in found["tower-a"].same and "inputs" in found["tower-a"].same
    assert [found[name].status for name in ("engine0", "last", "encoder")] == ["same"] * 3


def test_engines_and_methods_that_come_and_go(pte_folder: Path) -> None:
    report = pte.diff(pte_folder / "several.pte", pte_folder / "changed.pte")
    assert {method.name: method.status for method in report.methods} == {
        "decode": "removed",
        "encode": "same",
        "forward": "same",
        "later": "added",
    }
    found = {(engine.method, engine.name): engine for engine in report.engines}
    renamed = found["forward", "tower-b"]
    assert (renamed.status, renamed.renamed_from, renamed.moved_from) == ("changed", "tower-a", None)
    assert not renamed.changes and "contents" in renamed.same
    assert ("forward", "tower-a") not in found
    # Engines without our metadata are named by their number: forward's engine4 is engine2 now, and has another byte.
    assert (found["forward", "engine4"].status, found["forward", "engine2"].status) == ("removed", "added")
    for name, old in (("last", "last"), ("engine3", "engine0")):
        moved = found["later", name]
        assert (moved.renamed_from, moved.moved_from, moved.changes) == (old, "decode", ())
    assert len(found) == 6
    assert found["encode", "encoder"].status == "same"


def test_without_digests_bytes_are_compared(pte_folder: Path, tmp_path: Path) -> None:
    path = copy(pte_folder, "theirs", tmp_path / "b.pte")
    (engine,) = pte.read(path).engines
    report = pte.diff(pte_folder / "theirs.pte", path)
    assert (report.engines[0].status, report.engines[0].compared_by) == ("same", "bytes")
    with path.open("r+b") as file:
        file.seek(engine.engine_offset + engine.engine_bytes - 1)
        file.write(b"x")
    report = pte.diff(pte_folder / "theirs.pte", path)
    assert changed(report.engines[0]) == {"contents": (None, None)}
    assert "contents" not in report.engines[0].same
    pte.annotate(path)  # one of them has a digest now: bytes, still
    report = pte.diff(pte_folder / "theirs.pte", path)
    assert report.engines[0].compared_by == "bytes"
    assert changed(report.engines[0])["recorded_digests"] == ([], ["sha256", "crc32c"])
    assert changed(report.engines[0])["contents"] == (None, pte.read(path).engines[0].sha256)


def test_with_digests_no_engine_is_read(pte_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [copy(pte_folder, "one", tmp_path / name) for name in ("a.pte", "b.pte")]
    pte.annotate(paths[1])
    read: list[int] = []
    pieces = Source.pieces
    monkeypatch.setattr(Source, "pieces", lambda self, at, size: read.append(size) or pieces(self, at, size))
    (engine,) = pte.diff(*paths).engines
    assert (engine.compared_by, read) == ("recorded digests", [])
    assert changed(engine) == {"recorded_digests": (["sha256"], ["sha256", "crc32c"])}


def plan_file(folder: Path, name: str, contents: bytes, **keywords: Any) -> Path:
    torchtrt_ws.save_plan(b"ptrt" + contents, folder / name, **{**TENSORS, **keywords})
    return folder / name


TENSORS: dict[str, Any] = {"inputs": "x:float32:1..8x4", "outputs": "y:float32:1..8x4"}


@pytest.mark.parametrize(
    ("keywords", "facts"),
    [
        ({}, set()),
        ({"inputs": "x:float16:1..8x4"}, {"inputs"}),
        ({"outputs": "y:float16:1..8x4"}, {"outputs"}),
        ({"device": "cuda:1"}, {"target_device", "device_id"}),
        ({"streamable_bytes": 50}, {"streamable_bytes", "streamable_estimated"}),
        ({"weight_streaming_budget": 60}, {"baked_budget"}),
    ],
    ids=lambda value: next(iter(value), "nothing") if isinstance(value, dict) else "",
)
def test_facts_of_an_engine(tmp_path: Path, keywords: dict[str, Any], facts: set[str]) -> None:
    before = plan_file(tmp_path, "a.pte", bytes(96))
    report = pte.diff(before, plan_file(tmp_path, "b.pte", bytes(96), **keywords))
    (engine,) = report.engines
    assert set(changed(engine)) == facts
    assert "contents" in engine.same
    if not facts & {"inputs", "outputs", "target_device"}:  # two exports with another budget differ in nothing else
        assert not report.rest and [method.status for method in report.methods] == ["same"]
    assert report.same == (not facts)


def test_another_plan(tmp_path: Path) -> None:
    before = plan_file(tmp_path, "a.pte", bytes(96))
    (engine,) = pte.diff(before, plan_file(tmp_path, "b.pte", bytes(95) + b"1")).engines
    digests = [pte.read(tmp_path / name).engines[0].sha256 for name in ("a.pte", "b.pte")]
    assert changed(engine) == {"contents": tuple(digests)} and engine.compared_by == "recorded digests"
    (engine,) = pte.diff(before, plan_file(tmp_path, "b.pte", bytes(97))).engines
    assert changed(engine)["engine_bytes"] == (100, 101) and engine.compared_by == "sizes"


def test_what_is_known_of_an_engine_of_others(pte_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fact alone, through a report that says it."""
    path = pte_folder / "theirs.pte"
    report = pte.read(path)
    (engine,) = report.engines
    metadata = engine.metadata
    variants: dict[str, pte.EngineInfo] = {
        "builder": replace(engine, builder="tensorrt-rtx 1.7.0.0"),
        "kind": replace(engine, kind="later"),
        "compile_specs": replace(engine, compile_specs=engine.compile_specs[1:]),
        "target_platform": replace(engine, metadata=replace(metadata, target_platform="win_x86_64")),
        "hardware_compatible": replace(engine, metadata=replace(metadata, hardware_compatible=False)),
        "aliased_io": replace(engine, metadata=replace(metadata, aliased_io=())),
        "serialized_metadata_sha256": replace(engine, metadata=replace(metadata, serialized_metadata="gASV")),
    }
    for fact, other in variants.items():
        reports = iter([report, replace(report, engines=(other,))])
        with monkeypatch.context() as patch:
            patch.setattr(diff_program, "read_open", lambda program, reports=reports: next(reports))
            (found,) = pte.diff(path, path).engines
        assert set(changed(found)) == {fact}
    assert pte.diff(path, path).same


def test_what_a_program_computes(pte_folder: Path) -> None:
    report = pte.diff(pte_folder / "no_delegates.pte", pte_folder / "xnnpack.pte")
    (method,) = report.methods
    assert {"outputs", "operators"} <= set(changed(method))
    assert {"other_backends", "delegate 0 of 'forward', XnnpackBackend"} <= {change.what for change in report.rest}


def segment_of(path: Path, what: str) -> tuple[int, int]:
    """Where data of a program lies in its file."""
    from torchtrt_ws.pte.layout import open_program
    from torchtrt_ws.pte.other_parts import data_regions

    (region,) = (region for name, (_, region) in data_regions(open_program(path)).items() if name.startswith(what))
    assert region is not None
    return region.offset, region.size


@pytest.mark.parametrize(("name", "what"), [("several", "constants"), ("xnnpack", "delegate 0")])
def test_a_byte_of_the_rest(pte_folder: Path, tmp_path: Path, name: str, what: str) -> None:
    path = copy(pte_folder, name, tmp_path / "b.pte")
    offset, size = segment_of(path, what)
    with path.open("r+b") as file:
        file.seek(offset + size - 1)
        last = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([last[0] ^ 1]))
    report = pte.diff(pte_folder / f"{name}.pte", path)
    assert not report.same
    assert [change.what.startswith(what) for change in report.rest] == [True]
    assert statuses(report) == {"same"}


def test_a_changed_instruction(pte_folder: Path, tmp_path: Path) -> None:
    """Every name of an operator is part of what is compared."""
    data = (pte_folder / "several.pte").read_bytes()
    assert data.count(b"aten::mul") >= 1
    path = tmp_path / "b.pte"
    path.write_bytes(data.replace(b"aten::mul", b"aten::add"))
    report = pte.diff(pte_folder / "several.pte", path)
    assert [method.name for method in report.methods if "operators" in changed(method)] == ["encode"]


def test_the_broken_one_is_named(pte_folder: Path) -> None:
    good, bad = pte_folder / "one.pte", pte_folder / "bad_blob.pte"
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(ProgramError, match=r"bad_blob\.pte: engine 0"):
            pte.diff(*pair)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(name=st.sampled_from(["one", "several", "xnnpack"]), data=st.data(), first=st.booleans())
def test_a_mutated_program_is_compared_or_refused(
    pte_folder: Path, tmp_path: Path, name: str, data: st.DataObject, first: bool
) -> None:
    whole = pte_folder / f"{name}.pte"
    mutated = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, min(len(mutated), 4000) - 1))
        mutated[position] = data.draw(st.sampled_from([0, 1, 4, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    path = tmp_path / "mutated.pte"
    path.write_bytes(mutated)
    try:
        report = pte.diff(*((path, whole) if first else (whole, path)))
    except ProgramError as error:
        assert "mutated.pte" in str(error)
        return
    json.dumps(report.as_dict())

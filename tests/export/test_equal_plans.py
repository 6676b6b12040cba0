"""Equal plans are stored once: in the file that `save_plan` writes, for all who read it, and in budgets."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from warm_python import python

import torchtrt_ws
from torchtrt_ws import blob, pte, trust
from torchtrt_ws.errors import BudgetError, ProgramError
from torchtrt_ws.export.engine.payload import SAMPLE, BufferPayload, FilePayload

KIB = 1 << 10
LARGE, SMALL = 1000 * KIB + 3, 300 * KIB


def plan(size: int, seed: int) -> bytes:
    """What begins like a plan of TensorRT-RTX."""
    body = hashlib.shake_128(b"%d" % seed).digest(size - 28)
    return struct.pack("<4s12xQ4B", b"vtrt", size, 1, 6, 1, 120) + body


PLANS = {"prefill": plan(LARGE, 1), "encode": plan(SMALL, 2), "decode": plan(LARGE, 1), "embed": plan(SMALL, 3)}


def save(path: Path, plans: dict[str, Any], methods: dict[str, Sequence[str]] | None = None, **keywords: Any) -> None:
    torchtrt_ws.save_plan(
        plans,
        path,
        inputs={name: f"x_{name}:float32:4" for name in plans},
        outputs={name: f"y_{name}:float32:4" for name in plans},
        methods={name: [name] for name in plans} if methods is None else methods,
        **keywords,
    )


def engines(path: Path) -> dict[str, pte.EngineInfo]:
    return {engine.name: engine for engine in pte.read(path).engines}


def contents(path: Path, engine: pte.EngineInfo) -> bytes:
    return path.read_bytes()[engine.engine_offset : engine.engine_offset + engine.engine_bytes]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("once") / "once.pte"
    save(path, PLANS)
    return path.read_bytes()


@pytest.fixture
def path(once: bytes, tmp_path: Path) -> Path:
    (tmp_path / "once.pte").write_bytes(once)
    return tmp_path / "once.pte"


@pytest.mark.parametrize("source", ["bytes", "files", "one file"])
@pytest.mark.parametrize("methods", [None, {"both": ["prefill", "encode", "decode", "embed"]}], ids=["four", "one"])
def test_the_file_has_each_plan_once(tmp_path: Path, source: str, methods: dict[str, Sequence[str]] | None) -> None:
    given: dict[str, Any] = dict(PLANS)
    if source != "bytes":
        for name, each in PLANS.items():
            given[name] = tmp_path / f"{name}.plan"
            given[name].write_bytes(each)
    if source == "one file":
        given["decode"] = given["prefill"]
    path = tmp_path / "a.pte"
    save(path, given, methods)
    assert path.stat().st_size < LARGE + 2 * SMALL + 64 * KIB
    found = engines(path)
    for name, engine in found.items():
        assert contents(path, engine) == PLANS[name]
        assert engine.sha256 == hashlib.sha256(PLANS[name]).hexdigest()
        assert engine.engine_offset % 16 == 0
        assert engine.payload_offset % 128 == 0, "where ExecuTorch begins a segment"
        assert engine.payload_offset + engine.payload_bytes == engine.engine_offset + engine.engine_bytes
        assert [tensor.name for tensor in (*engine.inputs, *engine.outputs)] == [f"x_{name}", f"y_{name}"]
    assert found["prefill"].engine_offset == found["decode"].engine_offset
    assert found["encode"].engine_offset != found["embed"].engine_offset
    assert {name: engine.same_plan_as for name, engine in found.items() if engine.same_plan_as} in (
        {"prefill": "decode"},
        {"decode": "prefill"},
    )


def test_others_read_each_delegate_as_if_it_were_alone(path: Path) -> None:
    """ExecuTorch's reader cuts the segments out; Torch-TensorRT's, whose rules for a blob test_blob.py compares with
    ours, gets such a part."""
    from executorch.exir._serialize._program import deserialize_pte_binary

    program = deserialize_pte_binary(path.read_bytes()).program
    found = {}
    for execution_plan in program.execution_plan:
        (delegate,) = execution_plan.delegates
        data = bytes(program.backend_delegate_data[delegate.processed.index].data)
        found[execution_plan.name] = bytes(blob.read(data).engine)
    assert found == PLANS


def test_the_segments_end_where_the_file_ends(path: Path) -> None:
    from executorch.exir._serialize._program import _get_extended_header

    header = _get_extended_header(path.read_bytes())
    assert header is not None
    assert header.segment_base_offset + header.segment_data_size == path.stat().st_size


def test_what_an_early_version_reads_counts_each_and_what_this_one_reads_counts_once(path: Path) -> None:
    for engine in engines(path).values():
        own = engine.metadata.own
        assert own is not None
        assert (own.program_engines, own.program_streamable_bytes) == (4, 2 * LARGE + 2 * SMALL)
        assert own.program_distinct_bytes == LARGE + 2 * SMALL


def test_programs_of_plans_that_differ_record_nothing_new(tmp_path: Path) -> None:
    save(tmp_path / "a.pte", {"encode": PLANS["encode"], "embed": PLANS["embed"]})
    assert b"distinct" not in (tmp_path / "a.pte").read_bytes()


def test_a_total_counts_a_plan_once(tmp_path: Path) -> None:
    save(tmp_path / "a.pte", PLANS, weight_streaming_budget=(LARGE + 2 * SMALL) // 2)
    baked = {name: engine.baked_budget for name, engine in engines(tmp_path / "a.pte").items()}
    assert baked == {
        "prefill": pytest.approx(LARGE / 2, abs=1),
        "decode": baked["prefill"],
        "encode": SMALL // 2,
        "embed": SMALL // 2,
    }


def test_a_budget_for_one_is_that_of_both(tmp_path: Path) -> None:
    save(tmp_path / "a.pte", PLANS, weight_streaming_budget_per_engine={"decode": "1000", "embed": 7})
    baked = {name: engine.baked_budget for name, engine in engines(tmp_path / "a.pte").items()}
    assert baked == {"prefill": 1000, "decode": 1000, "encode": None, "embed": 7}


def test_two_budgets_for_one_plan_are_refused(tmp_path: Path, path: Path) -> None:
    budgets = {"prefill": 1000, "decode": 2000}
    with pytest.raises(BudgetError, match=r"1000 for 'prefill' and 2000 for 'decode'.*whose weights are there once"):
        save(tmp_path / "a.pte", PLANS, weight_streaming_budget_per_engine=budgets)
    with pytest.raises(BudgetError, match="whose weights are there once"):
        torchtrt_ws.set_budget(path, budgets)


def test_on_two_devices_they_are_stored_once_and_have_two_budgets(tmp_path: Path) -> None:
    from dataclasses import replace

    from torchtrt_ws.export.engine.built_engine import BuiltEngine
    from torchtrt_ws.export.engine.engine_blob import ProgramShares
    from torchtrt_ws.export.engine.equal_plans import EqualPlans

    one = BuiltEngine("one", "tensorrt", "test", BufferPayload(PLANS["encode"]), (), (), streamable_bytes=10)
    two = replace(one, name="two", payload=BufferPayload(bytearray(PLANS["encode"])), device_id=1)
    plans = EqualPlans([one, two])
    assert plans.payload("two") is one.payload
    assert plans.loaded_as("two") == "two"
    assert ProgramShares.of([one, two], plans) == ProgramShares(2, 20, None)


def test_set_budget_is_in_place_and_for_both(path: Path, once: bytes) -> None:
    change = torchtrt_ws.set_budget(path, "25%", engines=["prefill"])
    assert change.in_place
    assert path.stat().st_size == len(once)
    baked = {name: engine.baked_budget for name, engine in engines(path).items()}
    assert baked == {"prefill": LARGE // 4, "decode": LARGE // 4, "encode": None, "embed": None}
    torchtrt_ws.set_budget(path, LARGE + 2 * SMALL)
    for name, engine in engines(path).items():
        assert engine.baked_budget == len(PLANS[name])
        assert contents(path, engine) == PLANS[name]


def test_annotate_finds_nothing_missing(path: Path, once: bytes, tmp_path: Path) -> None:
    assert torchtrt_ws.annotate(path).engines == ()
    assert path.read_bytes() == once
    torchtrt_ws.annotate(path, output=tmp_path / "copy.pte")
    assert (tmp_path / "copy.pte").read_bytes() == once


def test_a_plan_that_differs_in_one_byte_is_another_plan(tmp_path: Path) -> None:
    """Where the samples are equal the digests tell them apart."""
    for at in (40, LARGE - 1, SAMPLE + 1, LARGE // 2 + 7):
        changed = bytearray(PLANS["prefill"])
        changed[at] ^= 1
        save(tmp_path / "a.pte", {"one": PLANS["prefill"], "other": bytes(changed)})
        found = engines(tmp_path / "a.pte")
        assert contents(tmp_path / "a.pte", found["one"]) == PLANS["prefill"]
        assert contents(tmp_path / "a.pte", found["other"]) == bytes(changed)


def test_only_what_looks_equal_is_read_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    digests = FilePayload.digests.fget  # type: ignore[attr-defined]

    def noted(self: FilePayload) -> Any:
        read.append(Path(self.path).name)
        return digests(self)

    monkeypatch.setattr(FilePayload, "digests", property(noted))
    from torchtrt_ws.export.engine.built_engine import BuiltEngine
    from torchtrt_ws.export.engine.equal_plans import EqualPlans

    built = []
    for name, each in PLANS.items():
        (tmp_path / name).write_bytes(each)
        built.append(BuiltEngine(name, "tensorrt", "test", FilePayload(tmp_path / name), (), ()))
    EqualPlans(built)
    assert sorted(read) == ["decode", "prefill"]


def test_a_save_that_fails_leaves_the_old_file(path: Path, once: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: BufferPayload, file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BufferPayload, "write_to", fail)
    with pytest.raises(ProgramError, match="space"):
        save(path, PLANS)
    assert path.read_bytes() == once


def test_a_signature_names_each_engine(path: Path, tmp_path: Path) -> None:
    trust.new_key(tmp_path / "key.pem")
    trust.sign(path, tmp_path / "key.pem")
    manifest = trust.verify(path, [tmp_path / "key.pub.pem"]).manifest
    assert {each.name: each.sha256 for each in manifest.engines} == {
        name: hashlib.sha256(each).hexdigest() for name, each in PLANS.items()
    }


def test_inspect_says_whose_plan_it_is(path: Path) -> None:
    done = python("-m", "torchtrt_ws", "inspect", path, env={**os.environ, "COLUMNS": "120"})
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if "same plan as" in line]
    assert [cell.strip() for cell in row.split("│")[1:5]] == ["prefill", "prefill", "tensorrt", "same plan as decode"]

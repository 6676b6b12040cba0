"""The file with the weights of engines that are stored without them: found by name, told by content."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from crc32c import crc32c
from executorch.exir._serialize._named_data_store import NamedDataStore
from executorch.exir._serialize.data_serializer import DataPayload
from executorch.extension.flat_tensor.serialize.serialize import FlatTensorSerializer

import torchtrt_ws
from torchtrt_ws import pte
from torchtrt_ws.errors import ProgramError


@pytest.fixture
def folder(pte_folder: Path, tmp_path: Path) -> Path:
    for name in ("stripped.pte", "stripped.ptd", "weights.ptd"):
        shutil.copy(pte_folder / name, tmp_path / name)
    return tmp_path


def problem(path: Path) -> str:
    report = pte.read(path)
    assert report.data_problem is not None and not report.data_files
    return report.data_problem


def test_it_is_found_beside_the_program(folder: Path) -> None:
    report = pte.read(folder / "stripped.pte")
    (engine,) = report.engines
    assert engine.weights is not None and engine.weights.file == "stripped.ptd"
    assert report.data_files == (str(folder / "stripped.ptd"),) and report.data_problem is None


def test_both_may_be_renamed(folder: Path) -> None:
    (folder / "stripped.pte").rename(folder / "other.pte")
    assert pte.read(folder / "other.pte").data_files == (str(folder / "stripped.ptd"),)
    (folder / "stripped.ptd").rename(folder / "other.ptd")
    assert pte.read(folder / "other.pte").data_files == (str(folder / "other.ptd"),)


def test_none_is_an_error_that_names_it(folder: Path) -> None:
    (folder / "stripped.ptd").unlink()
    said = problem(folder / "stripped.pte")
    assert "no file with the weight" in said and "stripped.ptd beside the program" in said and "data=[...]" in said


def test_another_one_of_that_name_is_refused(folder: Path) -> None:
    shutil.copy(folder / "weights.ptd", folder / "stripped.ptd")
    said = problem(folder / "stripped.pte")
    assert said.startswith(str(folder / "stripped.ptd")) and "Another save has replaced it" in said


def test_given_files_must_have_all_weights(folder: Path) -> None:
    report = pte.read(folder / "stripped.pte")
    pte.check_weights(report.file, report.engines, [str(folder / "weights.ptd"), str(folder / "stripped.ptd")])
    with pytest.raises(ProgramError, match="no file with the weight"):
        pte.check_weights(report.file, report.engines, [str(folder / "weights.ptd")])


def test_a_truncated_one_is_refused(folder: Path) -> None:
    whole = (folder / "stripped.ptd").read_bytes()
    (folder / "stripped.ptd").write_bytes(whole[:-4096])
    with pytest.raises(ProgramError, match=r"stripped\.ptd: found a broken index: \d+ bytes at \d+ of \d+"):
        pte.regions_in_data_file(folder / "stripped.ptd")


def test_digests_of_weights(folder: Path) -> None:
    path = folder / "stripped.pte"
    (found,) = pte.check_digests(path).engines
    assert found.as_recorded and found.other_weights == () and found.weights_problem is None
    (engine,) = pte.read(path).engines
    assert engine.weights is not None
    weight = engine.weights.tensors[1]
    region = pte.regions_in_data_file(folder / "stripped.ptd")[weight.key]
    data = bytearray((folder / "stripped.ptd").read_bytes())
    data[region.offset] ^= 1
    (folder / "stripped.ptd").write_bytes(data)
    (found,) = pte.check_digests(path).engines
    assert found.as_recorded is False and found.other_weights == (weight.name,)
    assert found.as_dict()["other_weights"] == [weight.name] and found.as_dict()["result"] == "differs"
    (folder / "stripped.ptd").unlink()
    (found,) = pte.check_digests(path).engines
    assert found.as_recorded is False and "no file with the weight" in str(found.weights_problem)


PLAN = b"vtrt" * 64


def write_engine(path: Path, plan: bytes = PLAN) -> None:
    """A data file with the engine of elsewhere.pte."""
    store = NamedDataStore()
    store.add_named_data("engine_0", plan, 16, "file")
    output = store.get_named_data_store_output()
    file = FlatTensorSerializer().serialize(DataPayload(output.buffers, output.external_data["file"]))
    path.write_bytes(bytes(file))


def test_an_engine_of_torch_tensorrt_in_a_data_file(pte_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.pte"
    shutil.copy(pte_folder / "elsewhere.pte", path)
    report = pte.read(path)
    (engine,) = report.engines
    assert (engine.engine_key, engine.engine_bytes, engine.kind) == ("engine_0", 0, "tensorrt")
    assert "'engine_0'" in str(report.data_problem)
    write_engine(tmp_path / "engines.ptd")
    assert pte.read(path).data_files == (str(tmp_path / "engines.ptd"),)


def test_what_is_recorded_of_an_engine_in_a_data_file(pte_folder: Path, tmp_path: Path) -> None:
    """Of its bytes, not of the none that the program has: a load compares them with the record."""
    path = tmp_path / "a.pte"
    shutil.copy(pte_folder / "elsewhere.pte", path)
    for work in (torchtrt_ws.annotate, pte.check_digests):
        with pytest.raises(ProgramError, match="no file with the tensor 'engine_0'"):
            work(path)
    assert path.read_bytes() == (pte_folder / "elsewhere.pte").read_bytes()
    write_engine(tmp_path / "engines.ptd")
    told: list[tuple[int, int]] = []
    (before,) = pte.check_digests(path, progress=lambda done, total: told.append((done, total))).engines
    assert (before.sha256, before.result) == (hashlib.sha256(PLAN).hexdigest(), "not recorded")
    assert told == [(len(PLAN), len(PLAN))]
    assert torchtrt_ws.annotate(path).engines == ("engine0",)
    (engine,) = pte.read(path).engines
    assert (engine.sha256, engine.crc32c) == (hashlib.sha256(PLAN).hexdigest(), f"{crc32c(PLAN):08x}")
    assert (engine.streamable_bytes, engine.streamable_estimated) == (len(PLAN), True)
    assert (engine.engine_key, engine.engine_bytes) == ("engine_0", 0)
    assert pte.check_digests(path).engines[0].result == "as recorded"
    (change,) = torchtrt_ws.set_budget(path, "50%").engines
    assert change.after == len(PLAN) // 2
    data = bytearray((tmp_path / "engines.ptd").read_bytes())
    region = pte.regions_in_data_file(tmp_path / "engines.ptd")["engine_0"]
    data[region.offset + 7] ^= 1
    (tmp_path / "engines.ptd").write_bytes(data)
    assert pte.check_digests(path).engines[0].result == "differs"
    with pytest.raises(ProgramError, match="in a data file, under the key 'engine_0'"):
        torchtrt_ws.strip(path, tmp_path / "b.pte")


def test_two_methods_on_one_engine_in_a_data_file(pte_folder: Path) -> None:
    """Each has a blob of its own in the program; the weights are there once."""
    report = pte.read(pte_folder / "elsewhere.pte")
    (engine,) = report.engines
    second = replace(engine, name="engine1", engine_offset=engine.engine_offset + 64)
    third = replace(second, name="engine2", metadata=replace(engine.metadata, engine_key="engine_1"))
    sizes = replace(report, engines=(engine, second, third)).engine_sizes()
    assert [each.weights_of for each in sizes] == [None, "engine0", None]


def test_programs_that_differ_in_their_data_files(pte_folder: Path, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        shutil.copy(pte_folder / "elsewhere.pte", tmp_path / name / "m.pte")
    one, other = tmp_path / "a" / "m.pte", tmp_path / "b" / "m.pte"
    with pytest.raises(ProgramError, match="no file with the tensor 'engine_0'"):
        pte.diff(one, other)
    write_engine(one.with_suffix(".ptd"))
    write_engine(other.with_suffix(".ptd"), PLAN + b"vtrt")
    (engine,) = pte.diff(one, other).engines
    assert [change.what for change in engine.changes] == ["contents"] and engine.compared_by == "bytes"
    write_engine(other.with_suffix(".ptd"))
    (engine,) = pte.diff(one, other).engines
    assert engine.changes == () and "contents" in engine.same

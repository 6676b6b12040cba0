"""C++ finds in a .pte what Python finds, and follows no offset out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torchtrt_ws import _native, pte
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.identifiers import BACKEND_ID
from torchtrt_ws.pte.flatbuffer import root_table
from torchtrt_ws.pte.layout import Field

REAL = ("one", "inline", "several", "no_delegates", "xnnpack")


def ours(delegates: Any) -> list[tuple[Any, ...]]:
    return [
        (method, offset, size, [tuple(spec) for spec in specs])
        for method, backend, offset, size, specs in delegates
        if backend == BACKEND_ID
    ]


def as_python_reads(path: Path) -> list[tuple[Any, ...]]:
    return [
        (each.method, each.payload_offset, each.payload_bytes, [(spec.key, spec.value) for spec in each.compile_specs])
        for each in pte.read(path).engines
    ]


@pytest.mark.parametrize("name", REAL)
def test_both_find_the_same(pte_folder: Path, name: str) -> None:
    path = pte_folder / f"{name}.pte"
    found = _native.program_delegates(str(path))
    assert isinstance(found, list), found
    assert ours(found) == as_python_reads(path)
    others = [backend for _, backend, *_ in found if backend != BACKEND_ID]
    assert {each: others.count(each) for each in others} == pte.read(path).other_backends


@pytest.mark.parametrize(("contents", "words"), [(b"", "an empty file"), (b"PK\3\4" * 9, "ET12"), (b"xxxxET12", "")])
def test_what_is_no_program(tmp_path: Path, contents: bytes, words: str) -> None:
    path = tmp_path / "none.pte"
    path.write_bytes(contents)
    found = _native.program_delegates(str(path))
    assert isinstance(found, str) and words in found and str(path) in found


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    assert "No such file" in str(_native.program_delegates(str(tmp_path / "gone")))
    assert "not a regular file" in str(_native.program_delegates(str(tmp_path)))


def test_a_delegate_of_another_backend_may_lack_its_payload(pte_folder: Path, tmp_path: Path) -> None:
    contents = bytearray((pte_folder / "xnnpack.pte").read_bytes())
    plan = root_table(memoryview(bytes(contents))).vector(Field.PROGRAM_EXECUTION_PLAN).table(0)
    entry = plan.vector(Field.PLAN_DELEGATES).table(0)._vtable + 4 + 2 * Field.DELEGATE_PROCESSED
    assert contents[entry : entry + 2] != b"\0\0"
    contents[entry : entry + 2] = b"\0\0"
    path = tmp_path / "without.pte"
    path.write_bytes(contents)
    found = _native.program_delegates(str(path))
    assert isinstance(found, list), found
    assert found[0][1:4] == ("XnnpackBackend", 0, 0)
    assert as_python_reads(path) == []


def test_a_delegate_of_another_backend_lies_in_the_file(pte_folder: Path, tmp_path: Path) -> None:
    contents = bytearray((pte_folder / "xnnpack.pte").read_bytes())
    plan = root_table(memoryview(bytes(contents))).vector(Field.PROGRAM_EXECUTION_PLAN).table(0)
    reference = plan.vector(Field.PLAN_DELEGATES).table(0).table(Field.DELEGATE_PROCESSED)
    assert reference is not None
    contents[reference._vtable + 2 : reference._vtable + 4] = b"\0\0"  # the size of the table
    path = tmp_path / "broken.pte"
    path.write_bytes(contents)
    assert "in a table of 0 bytes" in str(_native.program_delegates(str(path)))
    with pytest.raises(ProgramError, match="in a table of 0 bytes"):
        pte.read(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data())
def test_changed_bytes_lead_neither_astray(pte_folder: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Whatever Python reads, C++ reads the same; what C++ refuses, so does Python."""
    name = data.draw(st.sampled_from(["one", "inline", "several"]))
    contents = bytearray((pte_folder / f"{name}.pte").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, min(len(contents), 4096) - 1))
        contents[position] = data.draw(st.sampled_from([0, 1, 4, 127, 128, 255]))
    if data.draw(st.booleans()):
        del contents[data.draw(st.integers(8, len(contents))) :]
    path = tmp_path / "changed.pte"
    path.write_bytes(contents)
    found = _native.program_delegates(str(path))
    try:
        wanted = as_python_reads(path)
    except ProgramError:
        return  # Python reads more of it, such as blobs
    assert isinstance(found, list), found
    assert ours(found) == wanted

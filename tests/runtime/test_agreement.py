"""Python and C++ read the same: decimals and blobs, through the module that C++ users' code is compiled into."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchtrt_ws import _native, blob, budget, dtypes
from torchtrt_ws.errors import BlobError, BudgetError
from torchtrt_ws.identifiers import BACKEND_ID

TESTS = Path(__file__).resolve().parent.parent
CASES = json.loads((TESTS / "budget" / "decimal_cases.json").read_text())
TEXTS = st.one_of(st.integers().map(str), st.text("0123456789+-. \0kMGiB", max_size=24))
BLOBS = sorted((TESTS / "blob").glob("golden/*.bin")) + sorted((TESTS / "blob").glob("hostile/*.bin"))


def in_python(text: bytes) -> int | None:
    try:
        return budget.parse_decimal(text)
    except BudgetError:
        return None


def in_cpp(text: bytes) -> int | None:
    try:
        return _native.parse_decimal(text)
    except _native.Error as error:
        code, _subject, found, expected, next_step = error.args
        assert code == "BadOption"
        assert found
        assert expected
        assert next_step
        return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_decimal_table(case: dict[str, object]) -> None:
    text = bytes.fromhex(str(case["hex"])) if "hex" in case else str(case["text"]).encode()
    want = case["want"] if isinstance(case["want"], int) else None
    assert in_python(text) == in_cpp(text) == want


@given(st.integers(0, budget.MAX_BYTES))
def test_cpp_reads_the_number_that_python_writes(number: int) -> None:
    assert in_cpp(budget.encode(number)) == number


@given(TEXTS)
def test_python_and_cpp_read_the_same_decimals(text: str) -> None:
    assert in_python(text.encode()) == in_cpp(text.encode())


def facts_in_python(data: bytes) -> tuple[object, ...]:
    try:
        read = blob.read(data)
    except BlobError:
        return ("refused",)
    header = blob.read_header(data)
    return (header.engine_offset, header.engine_size, len(read.metadata.io_bindings), read.metadata.own is not None)


def facts_in_cpp(data: bytes) -> tuple[object, ...]:
    facts = _native.read_blob_facts(data)
    return facts[1:] if facts[0] == "Ok" else ("refused",)


@pytest.mark.parametrize("path", BLOBS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_blob_files(path: Path) -> None:
    data = path.read_bytes()
    assert facts_in_python(data) == facts_in_cpp(data)


@given(st.sampled_from([path for path in BLOBS if path.parent.name == "golden"]), st.data())
def test_blobs_with_a_changed_byte(path: Path, data: st.DataObject) -> None:
    changed = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, min(len(changed), 2048) - 1))
    changed[position] = data.draw(st.integers(0, 255))
    assert facts_in_python(bytes(changed)) == facts_in_cpp(bytes(changed))


def test_the_dtype_tables_agree() -> None:
    assert dict(_native.dtypes()) == {dtype.name: dtype.nbytes for dtype in dtypes.TABLE}
    assert len(_native.dtypes()) == len(dtypes.TABLE)


def test_the_dtypes_are_executorch_s_and_torch_s() -> None:
    import torch
    from executorch.exir.scalar_type import ScalarType
    from executorch.exir.tensor import scalar_type_enum

    numbers = {int(each) for each in ScalarType}
    for dtype in dtypes.TABLE:
        assert dtype.scalar_type in numbers
        assert getattr(torch, dtype.name).itemsize == dtype.nbytes
        if dtype.exported:
            assert int(scalar_type_enum(getattr(torch, dtype.name))) == dtype.scalar_type
        else:
            with pytest.raises(KeyError):
                scalar_type_enum(getattr(torch, dtype.name))


def test_the_option_keys_agree() -> None:
    header = (TESTS.parent / "cpp" / "include" / "torchtrt_ws" / "option_keys.h").read_text()
    found = dict(re.findall(r'(k\w+)(?:\[\])? =\s+"([\w.]+)"', header))
    assert {found[key] for key in ("kBudgetKey", "kTotalBudgetKey", "kPercentKey", "kReserveKey")} == {
        budget.KEY,
        budget.TOTAL_KEY,
        budget.PERCENT_KEY,
        budget.RESERVE_KEY,
    }
    assert found["kMarginKey"] == budget.MARGIN_KEY
    assert found["kEngineBudgetPrefix"] == budget.engine_key("")
    assert found["kBackendId"] == BACKEND_ID

"""The probes of the GPU report, with runners that are made up: what each outcome is told by."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
RIGHT = np.arange(4, dtype=np.float32)
OFFSET, SIZE = 100, 4800


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(HERE))
    import probes

    return probes


def test_positions_are_spread_over_the_engine(probes: Any) -> None:
    found = probes.positions(OFFSET, SIZE)
    assert len(found) == 24
    assert (found[0], found[-1]) == (OFFSET + 100, OFFSET + SIZE - 100)
    assert {after - before for before, after in itertools.pairwise(found)} == {200}


@pytest.mark.parametrize(
    ("code", "output", "outcome"),
    [
        (0, RIGHT, "right"),
        (0, RIGHT + 1, "wrong"),
        (0, np.full(4, np.nan, np.float32), "wrong"),
        (0, None, "wrong"),
        (1, None, "refused"),
        (-11, None, "crash"),
        (134, None, "crash"),
    ],
)
def test_outcomes(probes: Any, code: int, output: np.ndarray | None, outcome: str) -> None:
    done = subprocess.CompletedProcess([], code, "", "")
    assert probes.outcome(lambda *_: (done, output), Path("any.pte"), "off", RIGHT) == outcome


def test_a_process_that_hangs_is_a_crash(probes: Any) -> None:
    def run(program: Path, verify: str) -> Any:
        raise subprocess.TimeoutExpired("cpp_app", 60)

    assert probes.outcome(run, Path("any.pte"), "off", RIGHT) == "crash"


def test_each_probe_changes_one_byte(probes: Any, tmp_path: Path) -> None:
    good = tmp_path / "good.pte"
    good.write_bytes(bytes(OFFSET + SIZE + 50))
    seen: list[tuple[str, list[int]]] = []

    def run(program: Path, verify: str) -> Any:
        changed = [at for at, byte in enumerate(program.read_bytes()) if byte]
        seen.append((verify, changed))
        code = 1 if changed and verify == "checksum" else 0
        return subprocess.CompletedProcess([], code, "", ""), RIGHT + len(changed)

    found = probes.measure(run, good, OFFSET, SIZE, RIGHT, tmp_path)
    assert found["unchanged"] == {"checksum": "right", "off": "right"}
    assert found["probes"] == {"checksum": ["refused"] * 24, "off": ["wrong"] * 24}
    assert [changed for verify, changed in seen if verify == "off"] == [[], *([at] for at in found["positions"])]


def test_the_table_has_both_rows_and_the_quoted_one(probes: Any) -> None:
    import table

    section = {"positions": [1, 2], "probes": {"checksum": ["refused", "refused"], "off": ["wrong", "crash"]}}
    text = table.markdown({"probes": section})
    assert "| `verify=checksum` | 2 | 2 | 0 | 0 | 0 |" in text
    assert "| `verify=off` | 2 | 0 | 0 | 1 | 1 |" in text
    assert "quoted from its README) | 24 | 12 | 4 | 8 | not said |" in text

"""The report's decoder, small and without a GPU: what it writes, and that wrong numbers in it are problems."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from torchtrt_ws import pte

ENGINE = {"engine": "forward", "budget_bytes": 10_000_000, "scratch_bytes": 20_000_000, "device_bytes": 30_000_000}


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import decoder

    return decoder


def test_both_programs_and_the_rows(decoder: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="pip install torchtrt-ws[rtx]")
    from torchtrt_ws.export.streaming import StreamingOptions

    sizes = decoder.Sizes(layers=1, width=32, hidden=48, vocabulary=500, tokens=4)
    facts = decoder.write(tmp_path, sizes, StreamingOptions(min_table_bytes=1, min_head_bytes=1))
    names = {
        export: [each.name for each in pte.read(tmp_path / file).engines] for export, file in facts["files"].items()
    }
    assert names == {"plain": ["forward"], "streaming": ["forward", "forward_head"]}
    expected = np.load(tmp_path / facts["expected"])
    assert expected.shape == (1, 500)

    def app_of(name: str, program: Path, *flags: object) -> Any:
        assert program.exists() and "--weight-streaming-budget" in flags
        report = SimpleNamespace(engines=[ENGINE], method={"run_seconds": 0.002})
        return report, expected

    machine = SimpleNamespace(facts={"decoder": facts}, programs=tmp_path, app_of=app_of)
    section = json.loads(json.dumps(decoder.measure(machine, lambda found, wanted: float((found == wanted).all()))))
    assert list(decoder.problems(section)) == []
    assert decoder.rows(section)[1] == ["100%", "streaming", "10", "20", "30", "2.000", "1.000000"]
    section[3]["cosine"] = float("nan")
    assert list(decoder.problems(section)) == ["streaming at 75%: cosine nan"]
    assert list(decoder.problems(section[:1])) == ["streaming: nothing was measured"]


def test_a_report_without_it(decoder: Any) -> None:
    section = decoder.measure(SimpleNamespace(facts={}), None)
    assert "skipped" in section
    assert list(decoder.problems(section)) == []

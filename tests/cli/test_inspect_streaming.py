"""`torchtrt-ws inspect --streaming`: from what files record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from warm_python import python

from torchtrt_ws import blob, pte
from torchtrt_ws.cli import _render_streaming
from torchtrt_ws.errors import ProgramError

MIB = 1 << 20
BODY = blob.StreamingFacts(
    part="body",
    largest=(blob.WeightSize("gate.weight + up.weight", 224 * MIB), blob.WeightSize("down.weight", 112 * MIB)),
    scratch_bytes=336 * MIB,
    plain_scratch_bytes=2000 * MIB,
    tables=(blob.WeightSize("table.weight", 1000 * MIB),),
    head=blob.WeightSize("[bold]head.weight", 1000 * MIB),
    notes=("table 'positions' stays in the engine: its indices are computed by 'cumsum'",),
)
HEAD = replace(BODY, part="head", largest=(blob.WeightSize("[bold]head.weight", 1000 * MIB),), scratch_bytes=1000 * MIB)


def report(folder: Path, *streaming: blob.StreamingFacts | None) -> pte.ProgramInfo:
    """A program of one method, with an engine for each."""
    read = pte.read(folder / "inline.pte")
    (engine,) = read.engines
    own = engine.metadata.own
    assert own is not None
    engines = []
    for index, facts in enumerate(streaming):
        metadata = replace(engine.metadata, own=replace(own, streaming=facts))
        engines.append(replace(engine, name=f"engine-{index}", metadata=metadata))
    return replace(read, engines=tuple(engines))


def shown(found: pte.ProgramInfo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("COLUMNS", "200")
    _render_streaming.streaming(found)
    return capsys.readouterr().out


def test_what_was_moved_and_what_that_saved(
    pte_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shown(report(pte_folder, BODY, HEAD), monkeypatch, capsys)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    assert ["engine-0", "body", "3.91 KiB", "336 MiB", "gate.weight + up.weight  224 MiB"] in rows
    assert ["", "", "", "", "down.weight  112 MiB"] in rows
    assert ["engine-1", "head", "3.91 KiB", "1000 MiB", "[bold]head.weight  1000 MiB"] in rows
    assert "forward: table table.weight (1000 MiB) stays on the host" in out
    assert "forward: head [bold]head.weight (1000 MiB) has an engine of its own" in out
    assert "about 336 MiB instead of 1.95 GiB: 1.62 GiB saved" in out
    assert out.count("computed by 'cumsum'") == 1


def test_nothing_moved_or_recorded(
    pte_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = blob.StreamingFacts("whole", BODY.largest, 336 * MIB, 336 * MIB)
    assert "forward: one engine, nothing moved" in shown(report(pte_folder, whole), monkeypatch, capsys)
    out = shown(report(pte_folder, None), monkeypatch, capsys)
    assert "not recorded" in out
    assert "moved" not in out
    with pytest.raises(ProgramError, match="no delegates"):
        shown(report(pte_folder), monkeypatch, capsys)


def test_the_command(pte_folder: Path) -> None:
    done = python("-m", "torchtrt_ws", "inspect", pte_folder / "several.pte", "--streaming", timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "largest weights" in done.stdout

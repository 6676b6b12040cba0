"""The line that a load logs: words, or one JSON object for programs to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import torchtrt_ws


def lines(capfd: pytest.CaptureFixture[str], holding: str) -> list[str]:
    return [line for line in capfd.readouterr().err.splitlines() if holding in line]


def load(path: Path, **keywords: Any) -> dict[str, Any]:
    """What the program itself says of its engine, to be compared with the line."""
    return torchtrt_ws.load(path, **keywords).engines[0].as_dict()


def test_json_is_one_line_with_what_the_report_says(
    plain: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHTRT_WS_LOG", "json")
    report = load(plain, weight_streaming_budget_per_engine="1GiB")  # clipped, so that there is a note
    (line,) = lines(capfd, '"torchtrt_ws"')
    said = json.loads(line[line.index("{") :])
    assert len(line) > 255  # where ExecuTorch's own log would have cut it
    for ours, theirs in {
        "engine": "name", "method": "method", "kind": "kind", "device": "device", "source": "source",
        "budget_bytes": "budget_bytes", "streamable_bytes": "streamable_bytes", "clipped": "clipped",
        "ladder_steps": "ladder_steps", "cache_hits": "cache_hits", "cache_misses": "cache_misses",
    }.items():  # fmt: skip
        assert said[ours] == report[theirs], ours
    assert said["torchtrt_ws"] == "load"
    assert said["requested"] == str(2**30)
    assert said["clipped"] is True
    assert any("clipped" in note for note in said["notes"])
    assert said["seconds"] > 0


def test_words_where_nothing_else_is_said(
    plain: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TORCHTRT_WS_LOG", raising=False)
    load(plain)
    text = capfd.readouterr().err
    assert "requested=nothing source=automatic" in text
    assert '"torchtrt_ws"' not in text


def test_another_word_is_told(plain: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TORCHTRT_WS_LOG", "yaml")
    load(plain)
    text = capfd.readouterr().err
    assert '"yaml"' in text and '"json" or "text"' in text
    assert "requested=nothing" in text

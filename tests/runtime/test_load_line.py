"""The line that a load logs: words, or one JSON object for programs to read."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

import torchtrt_ws


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="torchtrt_ws")
    return caplog


def load(path: Path, **keywords: Any) -> dict[str, Any]:
    """What the program itself says of its engine, to be compared with the line."""
    return torchtrt_ws.load(path, **keywords).engines[0].as_dict()


def test_json_is_one_line_with_what_the_report_says(
    plain: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TORCHTRT_WS_LOG_FORMAT", "json")
    report = load(plain, weight_streaming_budget_per_engine="1GiB")  # clipped, so that there is a note
    (line,) = [message for message in logged.messages if '"torchtrt_ws"' in message]
    said = json.loads(line[line.index("{") :])
    assert len(line) > 255  # where ExecuTorch's own log would have cut it
    for ours, theirs in {
        "engine": "name", "method": "method", "kind": "kind", "device": "device", "source": "source",
        "budget_bytes": "budget_bytes", "streamable_bytes": "streamable_bytes", "clipped": "clipped",
        "ladder_steps": "ladder_steps", "cache_hits": "cache_hits", "cache_misses": "cache_misses",
        "context_seconds": "context_seconds",
    }.items():  # fmt: skip
        assert said[ours] == report[theirs], ours
    assert said["torchtrt_ws"] == "load"
    assert said["requested"] == str(2**30)
    assert said["clipped"] is True
    assert any("clipped" in note for note in said["notes"])
    assert said["seconds"] > 0


def test_words_where_nothing_else_is_said(
    plain: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("TORCHTRT_WS_LOG_FORMAT", raising=False)
    load(plain)
    text = logged.text
    assert "requested=nothing source=automatic" in text
    assert '"torchtrt_ws"' not in text


def test_another_word_is_told(plain: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("TORCHTRT_WS_LOG_FORMAT", "yaml")
    load(plain)
    text = logged.text
    assert '"yaml"' in text and '"json" or "text"' in text
    assert "requested=nothing" in text

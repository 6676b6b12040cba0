"""tests/soak.py for a few laps, and what it takes for growth."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from warm_python import python

HERE = Path(__file__).resolve().parent


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(HERE))
    import soak

    return soak


@pytest.mark.exports
@pytest.mark.parametrize("mode", ["host", "standin"])
def test_twelve_laps(soak: Any, mode: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if mode == "standin":
        folder = request.getfixturevalue("standin_programs")
    else:
        folder = tmp_path
        saved = python(HERE / "soak.py", mode, "--save", folder, exports=True)
        assert saved.returncode == 0, saved.stderr
    command = [sys.executable, str(HERE / "soak.py"), mode, "--laps", "12", "--programs", str(folder)]
    done = subprocess.run(command, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert (report["laps"], report["loads"], report["wrong"]) == (12, 12 * soak.THREADS * soak.ROUNDS, [])


def samples(laps: int, **each_lap: int) -> list[dict[str, int]]:
    start = {"rss_bytes": 50 << 20, "descriptors": 7, "mappings": 300}
    return [{key: value + lap * each_lap.get(key, 0) for key, value in start.items()} for lap in range(laps)]


def grown(soak: Any, found: list[dict[str, int]]) -> list[str]:
    return [key for key, each in soak.growth(found, 20).items() if each["grew"] > each["limit"]]


def test_what_stays_has_not_grown(soak: Any) -> None:
    steady = samples(30)
    steady[0]["rss_bytes"] = 10 << 20  # warming up
    steady[12]["mappings"] += 100  # once
    assert grown(soak, steady) == []


@pytest.mark.parametrize(
    ("key", "each_lap"),
    [("rss_bytes", 20 * 8192), ("descriptors", 1), ("mappings", 1)],
)
def test_a_leak_is_growth(soak: Any, key: str, each_lap: int) -> None:
    """Of two pages, or of one descriptor or mapping in twenty loads."""
    assert grown(soak, samples(30, **{key: each_lap})) == [key]

"""`python -m benchmarks.cluster`, and the results that are kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("simpy", reason="pip install simpy==4.1.2")

from benchmarks.cluster.ask_cost import replicas_needed
from benchmarks.cluster.ask_routing import routing
from benchmarks.cluster.flags import arguments
from benchmarks.cluster.gpus import Gpu
from benchmarks.cluster.report import markdown
from benchmarks.cluster.served import decoder

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
SMALL = ["--requests=300", "--rates=2", "--high-seconds=5", "--low-seconds=30", "--repeats=1"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.cluster", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_same_flags_give_the_same_files(tmp_path: Path) -> None:
    for name in ("first", "second"):
        done = run(*SMALL, "--out", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("# Beyond one machine")
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("first", "second"))
    assert first.keys() == {
        "cluster.md",
        "cluster.json",
        "cluster-cost.svg",
        "cluster-routing.svg",
        "cluster-cold-starts.svg",
    }
    names = [str(tmp_path / name).encode() for name in ("first", "second")]
    for name, content in first.items():
        assert content.replace(names[0], b"") == second[name].replace(names[1], b""), name


def test_a_program_of_mine(tmp_path: Path) -> None:
    report = json.loads((RESULTS / "gpu-h200.json").read_text())["commands"]["big"]["bench"]
    (tmp_path / "bench.json").write_text(json.dumps(report))
    done = run(*SMALL, "--report", str(tmp_path / "bench.json"), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "cluster.json").read_text())
    assert found["source"] == "bench.json"
    assert found["cost"][-1]["ms"] == found["gpus"][0]["ms"] == report["totals"][-1]["call"]["milliseconds"]


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["--gpus", "24:color=1"], "invalid parse value: '24:color=1'", 2),
        (["--percent", "101"], "invalid choice: 101", 2),
        (["--rates", "0"], "invalid positive value: '0'", 2),
        (["--start-seconds", "-1"], "invalid not_negative value: '-1'", 2),
        (["--models", "1.5"], "invalid whole value: '1.5'", 2),
        (["--gpus", "1"], "found 250000000 bytes of a device, expected 1180696576 at least", 1),
        (["--report", "nothing.json"], "nothing.json: found no report", 1),
    ],
)
def test_wrong_usage(words: list[str], message: str, code: int, tmp_path: Path) -> None:
    done = run(*SMALL, *words, "--out", str(tmp_path))
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == code
    assert not list(tmp_path.iterdir())


def test_what_the_guide_says() -> None:
    kept = json.loads((RESULTS / "cluster.json").read_text())
    text = (ROOT / "docs/guide/measuring.md").read_text()
    for percent in (25, 50, 75, 100):
        numbers = {
            batch: ", ".join(
                str(row["replicas"])
                for row in kept["cost"]
                if (row["batch"], row["percent"]) == (batch, percent) and row["rate"] in (5, 50, 500)
            )
            for batch in (1, 8)
        }
        (memory,) = {row["device_bytes"] for row in kept["cost"] if (row["batch"], row["percent"]) == (8, percent)}
        assert f"| {percent} % | {memory / 1e9:.1f} GB | {numbers[8]} | {numbers[1]} |\n" in text
    p99 = {row["policy"]: row["p99_ms"] for row in kept["routing"] if row["load"] == 0.2}
    best, usual = p99["shortest wait by the profile"], p99["least outstanding"]
    assert f"p99 of {best:.0f} ms instead of {usual:.0f}" in text.replace("\n", " ")


def test_what_is_kept_is_what_comes_out() -> None:
    """A part of it, since all of it takes minutes."""
    kept = json.loads((RESULTS / "cluster.json").read_text())
    assert (RESULTS / "cluster.md").read_text() == markdown(kept)
    given = arguments([])
    assert (kept["requests"], kept["seed"]) == (given.requests, given.seed)
    services = [gpu.run(decoder(), 1, given.models) for gpu in given.gpus]
    for row in routing(services, given.requests, given.limit, given.seed, loads=[0.4]):
        policy = row.pop("policy")
        (same,) = (each for each in kept["routing"] if (each["load"], each["policy"]) == (row["load"], policy))
        assert row == pytest.approx({key: value for key, value in same.items() if key != "policy"}, rel=1e-9)
    for row in kept["cost"]:
        if row["rate"] <= 20:
            service = Gpu(10**12).scaled(decoder().at_percent(row["percent"], row["batch"]), decoder())
            rest = (row["rate"], given.deadline, given.requests, given.limit, given.seed)
            assert replicas_needed(service, *rest) == row["replicas"]

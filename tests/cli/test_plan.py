"""`torchtrt-ws plan`: every question, and every error. The programs are real; no GPU, so profiles are made up."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from warm_python import python

import torchtrt_ws
from torchtrt_ws import planning, pte
from torchtrt_ws.budget.profile import BatchPoints, EngineProfile, Point, Profile, beside
from torchtrt_ws.cli import _render_plan
from torchtrt_ws.errors import BudgetError, CapacityError, ProgramError

MIB = 1 << 20
MARGIN = 64 * MIB
BIG, SMALL = 8 * MIB, 2 * MIB  # streamable bytes of the two engines
SCRATCH, CONTEXT = MIB // 2, MIB // 32


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return python("-m", "torchtrt_ws", "plan", *arguments, env={**os.environ, "COLUMNS": "300"}, timeout=120)


def answer(*arguments: object, code: int = 0) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert (done.returncode, done.stderr) == (code, ""), done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """two.pte of two engines, and one.pte of one."""
    folder = tmp_path_factory.mktemp("plan")
    for name, size in (("big", BIG), ("small", SMALL)):
        (folder / f"{name}.plan").write_bytes((b"ftrt" + name.encode()).ljust(size, b"\0"))
    torchtrt_ws.save_plan(
        {"big": folder / "big.plan", "small": folder / "small.plan"},
        folder / "two.pte",
        inputs={"big": "x:float32:1..64x8", "small": "y:float32:1..64x8"},
        outputs={"big": "y:float32:1..64x8", "small": "z:float32:1..64x8"},
        streamable_bytes={"big": BIG, "small": SMALL},
        weight_streaming_budget="50%",
    )
    torchtrt_ws.save_plan(
        folder / "big.plan",
        folder / "one.pte",
        inputs="x:float32:1..64x8",
        outputs="y:float32:1..64x8",
        streamable_bytes=BIG,
    )
    return folder


@pytest.fixture
def one(saved: Path, tmp_path: Path) -> Path:
    path = tmp_path / "one.pte"
    path.write_bytes((saved / "one.pte").read_bytes())
    return path


@pytest.fixture
def two(saved: Path, tmp_path: Path) -> Path:
    path = tmp_path / "two.pte"
    path.write_bytes((saved / "two.pte").read_bytes())
    return path


def measured(info: pte.EngineInfo, shift: float = 0.0) -> EngineProfile:
    """In steps: 25 % buys nothing, 95 % is in the hole."""
    size = info.streamable_bytes or 0
    times = {0: 100.0, 25: 100.0, 50: 55.0, 75: 30.0, 95: 12.0, 100: 10.0}
    points = tuple(
        Point(
            size * percent // 100,
            size * percent // 100 + CONTEXT + (SCRATCH if percent < 100 else 0),
            ms * size / BIG + shift,
        )
        for percent, ms in times.items()
    )
    return EngineProfile(info.name, info.sha256 or "", size, SCRATCH, points, batch=8)


def profile_of(path: Path, **fields: Any) -> Profile:
    return Profile(tuple(measured(info) for info in pte.read(path).engines), **fields)


@pytest.fixture
def profiled(one: Path) -> Path:
    """one.pte, with a profile beside it."""
    profile_of(one).write(beside(one))
    return one


# What the file alone says.


def test_all_fits(one: Path) -> None:
    found = answer(one, "--memory", "76MiB")
    assert (found["fits"], found["ok"], found["needed_bytes"]) == (True, True, BIG + MARGIN)
    assert found["least_memory_bytes"] == MARGIN and found["full_memory_bytes"] == BIG + MARGIN
    (engine,) = found["engines"]
    assert (engine["budget_bytes"], engine["streamed_bytes"], engine["scratch_bytes"]) == (BIG, 0, None)
    assert found["milliseconds"] is None
    assert any("cannot be told" in note for note in found["notes"])
    assert any("execution context of 'forward' is not measured" in note for note in found["notes"])


def test_a_part_fits_and_the_time_is_a_bound(one: Path) -> None:
    found = answer(one, "--memory", "3MiB", "--bandwidth", "25MB/s", "--margin", "1MiB")
    assert found["engines"][0]["budget_bytes"] == 2 * MIB
    assert found["milliseconds"] == pytest.approx(6 * MIB / 25e6 * 1e3)
    assert (found["basis"], found["bandwidth_bytes_per_second"]) == ("bound", 25e6)
    assert found["items_per_second"] == pytest.approx(25e6 / (6 * MIB))
    assert any("scratch of 'forward' is not recorded" in note for note in found["notes"])


def test_it_does_not_fit(one: Path) -> None:
    found = answer(one, "--memory", "63MiB", code=1)
    assert (found["fits"], found["ok"], found["needed_bytes"]) == (False, False, MARGIN)
    assert found["engines"][0]["budget_bytes"] == 0
    assert "one.pte: does not fit into 63.0 MiB" in run(one, "--memory", "63MiB").stdout


def test_without_memory_it_is_all_of_them(two: Path) -> None:
    found = answer(two)
    assert found["memory_bytes"] == found["full_memory_bytes"] == BIG + SMALL + MARGIN
    assert [engine["budget_bytes"] for engine in found["engines"]] == [BIG, SMALL]


def test_two_engines_in_proportion(two: Path) -> None:
    found = answer(two, "--memory", str(5 * MIB + MARGIN))
    assert [engine["budget_bytes"] for engine in found["engines"]] == [4 * MIB, MIB]


def test_what_a_given_budget_takes(two: Path) -> None:
    found = answer(two, "--budget", "25%", "--memory", "65MiB", code=1)
    assert [engine["budget_bytes"] for engine in found["engines"]] == [2 * MIB, MIB // 2]
    assert (found["fits"], found["needed_bytes"]) == (False, 5 * MIB // 2 + MARGIN)
    assert [e["budget_bytes"] for e in answer(two, "--budget", "5MiB")["engines"]] == [4 * MIB, MIB]


def test_a_bound_proves_no_latency(one: Path) -> None:
    question = (one, "--memory", "70MiB", "--bandwidth", "25MB/s", "--latency")
    found = answer(*question, "200ms", code=1)
    assert (found["meets_latency"], found["fits"], found["ok"]) == (None, True, False)
    done = run(*question, "200ms")
    assert "whether a call takes 200 ms at most cannot be told" in done.stdout
    found = answer(*question, "50ms", code=1)
    assert found["meets_latency"] is False
    least = found["latency_memory_bytes"]
    assert answer(one, "--memory", least, *question[3:], "50ms", code=1)["meets_latency"] is None
    assert answer(one, "--memory", least - 1, *question[3:], "50ms", code=1)["meets_latency"] is False


def test_scratch_that_the_file_records(one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only an export for TensorRT-RTX records it, so the report is changed after it was read."""
    report = pte.read(one)
    (engine,) = report.engines
    own = engine.metadata.own
    assert own is not None
    streaming = torchtrt_ws.blob.StreamingFacts("whole", scratch_bytes=MIB)
    engine = replace(engine, metadata=replace(engine.metadata, own=replace(own, streaming=streaming)))
    monkeypatch.setattr(pte, "read", lambda path: replace(report, engines=(engine,)))
    found = planning.plan(one, memory="4MiB", margin=0)
    assert (found.engines[0].scratch_bytes, found.engines[0].budget_bytes) == (MIB, 3 * MIB)
    assert "The scratch of 'forward' is an estimate of the export." in found.notes
    assert found.least_memory_bytes == MIB
    assert planning.plan(one, memory=BIG - 1, margin=0).engines[0].budget_bytes == BIG - MIB - 1, "not in the hole"


def test_host_engines(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "m.pte"
    torchtrt_ws.save(torch.nn.Linear(256, 256), path, arg_inputs=(torch.zeros(1, 256),))
    found = answer(path, "--memory", "65MiB")
    assert (found["engines"][0]["device"], found["engines"][0]["scratch_bytes"]) == ("host", 0)


# With a profile.


def test_on_a_step_of_the_profile(profiled: Path) -> None:
    found = answer(profiled, "--memory", "69MiB")
    assert found["engines"][0]["budget_bytes"] == BIG // 2
    assert (found["milliseconds"], found["basis"], found["batch"]) == (55.0, "measured", 8)
    assert found["items_per_second"] == pytest.approx(8 / 0.055)
    assert found["needed_bytes"] == BIG // 2 + SCRATCH + CONTEXT + MARGIN
    assert found["least_memory_bytes"] == SCRATCH + CONTEXT + MARGIN
    assert found["profile"] == str(beside(profiled))
    assert found["notes"] == []


@pytest.mark.parametrize(
    ("memory", "budget"),
    [
        (SCRATCH + CONTEXT + MARGIN + BIG // 2 - 1, 0),  # 25 % buys nothing
        (SCRATCH + CONTEXT + MARGIN + BIG * 3 // 4, BIG * 3 // 4),
        (BIG + CONTEXT + MARGIN - 1, BIG * 3 // 4),  # 95 % is in the hole
        (BIG + CONTEXT + MARGIN, BIG),
    ],
)
def test_steps(profiled: Path, memory: int, budget: int) -> None:
    assert answer(profiled, "--memory", memory)["engines"][0]["budget_bytes"] == budget


def test_between_two_budgets(profiled: Path) -> None:
    found = answer(profiled, "--budget", "60%")
    assert (found["milliseconds"], found["basis"]) == (pytest.approx(45.0), "interpolated")
    assert answer(profiled, "--budget", "96%")["engines"][0]["budget_bytes"] == BIG, "out of the hole, as load does"


def test_the_least_memory_for_a_latency(profiled: Path) -> None:
    found = answer(profiled, "--latency", "40ms")
    assert (found["meets_latency"], found["latency_milliseconds"]) == (True, 40.0)
    assert found["latency_memory_bytes"] == found["memory_bytes"] == BIG * 3 // 4 + SCRATCH + CONTEXT + MARGIN
    found = answer(profiled, "--memory", "69MiB", "--latency", "0.04s", code=1)
    assert (found["fits"], found["meets_latency"], found["milliseconds"]) == (True, False, 55.0)
    assert "fits into 69.0 MiB, but not within 40 ms" in run(profiled, "--memory", "69MiB", "--latency", "40ms").stdout
    assert answer(profiled, "--latency", "9ms", code=1)["latency_memory_bytes"] is None


def test_a_latency_that_only_streaming_meets(one: Path) -> None:
    """Scratch of a single large weight is more than the weight: the most memory is not that of all weights."""
    (info,) = pte.read(one).engines
    scratch, context = 2 * BIG, CONTEXT
    points = (Point(0, scratch + context, 1.0), Point(BIG, BIG + context, 1.02))
    engine = EngineProfile(info.name, info.sha256 or "", BIG, scratch, points)
    Profile((engine,)).write(beside(one))
    found = answer(one, "--latency", "1.01ms")
    assert (found["milliseconds"], found["meets_latency"], found["engines"][0]["budget_bytes"]) == (1.0, True, 0)
    assert found["latency_memory_bytes"] == found["memory_bytes"] == scratch + context + MARGIN
    assert answer(one, "--latency", "0.9ms", code=1)["latency_memory_bytes"] is None


def test_two_engines_where_it_saves_the_most(two: Path) -> None:
    profile_of(two, overhead_milliseconds=1.5).write(beside(two))
    found = answer(two, "--memory", "70MiB")
    assert [engine["budget_bytes"] for engine in found["engines"]] == [BIG // 2, SMALL * 1 // 2]
    assert found["milliseconds"] == pytest.approx(55 + 55 / 4 + 1.5)
    assert found["needed_bytes"] == 5 * MIB + SCRATCH + CONTEXT + MARGIN, "one block for both"


def test_a_percentage_of_a_head_is_what_a_load_takes(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head is one weight, and so is its scratch: whatever part of it is asked for, all of it takes no more."""
    report = pte.read(two)
    big, small = report.engines
    own = small.metadata.own
    assert own is not None
    head = torchtrt_ws.blob.StreamingFacts("head", scratch_bytes=SMALL)
    small = replace(small, metadata=replace(small.metadata, own=replace(own, streaming=head)))
    monkeypatch.setattr(pte, "read", lambda path: replace(report, engines=(big, small)))
    for percent, kept in ((0, 0), (3, SMALL), (19, SMALL), (100, SMALL)):
        found = planning.plan(two, budget=f"{percent}%").engines
        assert [each.budget_bytes for each in found] == [BIG * percent // 100, kept], percent


def test_batches(one: Path) -> None:
    (engine,) = profile_of(one).engines
    others = (BatchPoints(32, tuple(replace(point, milliseconds=point.milliseconds + 6) for point in engine.points)),)
    Profile((replace(engine, other_batches=others),)).write(beside(one))
    question = (one, "--memory", "69MiB", "--batch")
    found = answer(*question, 32)
    assert (found["milliseconds"], found["basis"], found["batch"]) == (61.0, "measured", 32)
    assert found["items_per_second"] == pytest.approx(32 / 0.061), "more of them for the same streaming"
    found = answer(*question, 20)
    assert (found["milliseconds"], found["basis"]) == (58.0, "interpolated")
    found = answer(*question, 56)
    assert (found["milliseconds"], found["basis"]) == (67.0, "extrapolated")


def test_one_batch_bounds_the_others(profiled: Path) -> None:
    found = answer(profiled, "--memory", "69MiB", "--batch", 16)
    assert (found["milliseconds"], found["basis"]) == (55.0, "bound")
    assert any("no second batch size" in note for note in found["notes"])
    found = answer(profiled, "--memory", "69MiB", "--batch", 1)
    assert (found["milliseconds"], found["basis"]) == (45.0, "bound"), "the streaming alone"


def test_whose_times_they_are(one: Path) -> None:
    measured = profile_of(one)
    (engine,) = measured.engines
    replace(measured, engines=(replace(engine, gpu="NVIDIA H200"),)).write(beside(one))
    for options in ((), ("--batch", 16)):
        found = answer(one, "--memory", "69MiB", *options)
        assert "The times are those of NVIDIA H200: another GPU has others." in found["notes"]


def test_a_profile_elsewhere(one: Path, tmp_path: Path) -> None:
    profile_of(one).write(tmp_path / "p.json")
    assert answer(one, "--memory", "69MiB")["basis"] is None
    found = answer(one, "--memory", "69MiB", "--profile", tmp_path / "p.json", "--bandwidth", "1GB/s")
    assert (found["milliseconds"], found["bandwidth_bytes_per_second"]) == (55.0, None)
    assert found["notes"] == ["The bandwidth is not used: the profile has measured times."]


def test_a_profile_of_other_engines(one: Path, two: Path) -> None:
    profile_of(two).write(beside(one))
    found = answer(one, "--memory", "69MiB")
    assert found["profile"] is None and "is not used" in found["notes"][0]
    done = run(one, "--memory", "69MiB", "--profile", beside(one))
    assert (done.returncode, done.stdout) == (1, "")
    assert "a measurement of engine 'forward' too" in done.stderr


def test_a_profile_of_a_machine_that_is_too_small_for_all(one: Path) -> None:
    (engine,) = profile_of(one).engines
    points = engine.points[:3]  # to 50 %: 100 to 55 ms
    Profile((replace(engine, points=points, largest_bytes=BIG // 2),)).write(beside(one))
    found = answer(one, "--memory", "69MiB")
    assert (found["milliseconds"], found["basis"]) == (55.0, "measured")
    assert found["needed_bytes"] == BIG // 2 + SCRATCH + CONTEXT + MARGIN
    found = answer(one, "--memory", "80MiB")
    assert (found["engines"][0]["budget_bytes"], found["needed_bytes"]) == (BIG, BIG + CONTEXT + MARGIN)
    assert (found["milliseconds"], found["basis"]) == (pytest.approx(10.0), "extrapolated")
    assert answer(one, "--budget", "75%")["basis"] == "extrapolated"


# Baking.


def test_bake(profiled: Path) -> None:
    done = run(profiled, "--memory", "69MiB", "--bake")
    assert done.returncode == 0, done.stderr
    assert "baked into the file" in done.stdout
    assert pte.read(profiled).engines[0].baked_budget == BIG // 2
    assert answer(profiled, "--memory", "73MiB", "--bake")["baked"] is True
    assert pte.read(profiled).engines[0].baked_budget == 2**63 - 1, "all of them, as 100%"


def test_two_engines_are_baked(two: Path) -> None:
    answer(two, "--memory", str(5 * MIB + MARGIN), "--bake")
    assert [engine.baked_budget for engine in pte.read(two).engines] == [4 * MIB, MIB]


def test_nothing_is_baked_that_is_not_good(profiled: Path) -> None:
    before = profiled.read_bytes()
    done = run(profiled, "--memory", "64MiB", "--bake")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"expected {SCRATCH + CONTEXT + MARGIN} bytes or more" in done.stderr
    done = run(profiled, "--memory", "69MiB", "--latency", "40ms", "--bake")
    assert (done.returncode, done.stdout) == (1, "")
    assert "found 55 ms; expected 40 ms at most" in done.stderr and "bytes of memory may do" in done.stderr
    done = run(profiled, "--memory", "69MiB", "--latency", "60ms", "--batch", 16, "--bake")
    assert "found a latency that cannot be told" in done.stderr
    assert profiled.read_bytes() == before
    assert run(profiled, "--memory", "69MiB", "--latency", "60ms", "--bake").returncode == 0


# Errors.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--memory", "12GB"), "memory: found '12GB'; expected a number of bytes"),
        (("--memory", "50%"), "memory: found '50%'"),
        (("--memory", "65MiB", "--margin", "auto"), "margin: found 'auto'"),
        (("--bandwidth", "25Gb/s"), "bandwidth: found '25Gb/s'; expected bytes a second"),
        (("--latency", "50"), "latency: found '50'; expected a time above 0"),
        (("--budget", "auto"), "budget: found 'auto'"),
        (("--budget", "free-1MiB"), "budget: found 'free-1MiB'"),
        (("--budget", "1GB"), "budget: found '1GB'"),
        (("--profile", "/no/such/profile.json"), "/no/such/profile.json: found No such file"),
    ],
)
def test_refused(one: Path, arguments: tuple[str, ...], words: str) -> None:
    done = run(one, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("error: ") and words in done.stderr


def test_sizes_that_are_not_recorded(pte_folder: Path) -> None:
    path = pte_folder / "several.pte"
    done = run(path, "--memory", "65MiB")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"no recorded streamable size; expected sizes to plan with. `torchtrt-ws annotate {path}`" in done.stderr
    done = run(pte_folder / "xnnpack.pte", "--memory", "65MiB")
    assert done.returncode == 1 and "found delegates of other backends only" in done.stderr


def test_wrong_usage(one: Path) -> None:
    for arguments in ((), (one, "--batch", "0"), (one, "--batch", "many"), (one, "more")):
        assert run(*arguments).returncode == 2


# Python, and how it looks.


def test_python(one: Path, two: Path) -> None:
    found = torchtrt_ws.plan(one, memory=69 * MIB, profile=profile_of(one), latency=0.06)
    assert (found.ok, found.milliseconds, found.latency_milliseconds) == (True, 55.0, 60.0)
    assert json.loads(json.dumps(found.as_dict()))["ok"] is True
    with pytest.raises(BudgetError, match="batch: found 0"):
        torchtrt_ws.plan(one, batch=0)
    with pytest.raises(ProgramError):
        torchtrt_ws.plan(one, profile=profile_of(two))
    with pytest.raises(CapacityError, match="Nothing was baked"):
        torchtrt_ws.plan(one, memory=1, bake=True)


def test_forty_columns(two: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    _render_plan.plan(torchtrt_ws.plan(two, memory="70MiB", profile=profile_of(two), latency="80ms"))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 40
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    assert rows == [["big", "4.00 MiB", "8.00 MiB", "55"], ["small", "1.00 MiB", "2.00 MiB", "13.75"]]
    assert "68.75 ms (measured, batch 8)" in " ".join(out.split())

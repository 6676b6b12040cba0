"""`torchtrt-ws bench`: host programs of a few layers, measured for moments. Times are whatever they are here."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from warm_python import python

import torchtrt_ws
from torchtrt_ws import pte
from torchtrt_ws.budget.latency import worth_using
from torchtrt_ws.budget.profile import Profile, beside

FEATURES, KIB, PAGE = 256, 2**10, 4096
QUICK = ("--seconds", "0.3")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With one.pte: two layers and 1 to 8 rows; and two.pte: two methods, one layer each, no row too many."""
    folder = tmp_path_factory.mktemp("bench")
    model = torch.nn.Sequential(torch.nn.Linear(FEATURES, FEATURES), torch.nn.Linear(FEATURES, FEATURES))
    rows = torch.export.Dim("rows", min=1, max=8)
    torchtrt_ws.save(model, folder / "one.pte", arg_inputs=(torch.zeros(8, FEATURES),), dynamic_shapes=({0: rows},))
    layers = {"up": torch.nn.Linear(64, 512), "down": torch.nn.Linear(512, 256)}
    inputs = {"up": (torch.zeros(2, 64),), "down": (torch.zeros(2, 512),)}
    torchtrt_ws.save(layers, folder / "two.pte", arg_inputs=inputs)
    return folder


@pytest.fixture
def folder(programs: Path, tmp_path: Path) -> Path:
    """The programs, in a folder that has nothing else in it."""
    for program in programs.glob("*.pte"):
        os.link(program, tmp_path / program.name)
    return tmp_path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    cache = tmp_path_factory.mktemp("cache")

    def run(*arguments: object, columns: int = 80, before: str = "") -> subprocess.CompletedProcess[str]:
        code = f"{before}\nfrom torchtrt_ws.cli.main import main\nmain()"
        environment = {**os.environ, "TORCHTRT_WS_CACHE": str(cache), "COLUMNS": str(columns)}
        return python("-c", code, *arguments, env=environment)

    return run


@pytest.fixture
def bench(run: Run, folder: Path) -> Callable[..., Any]:
    def bench(name: str, *arguments: object) -> Any:
        done = run("bench", folder / f"{name}.pte", *QUICK, "--json", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return bench


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert (done.returncode, done.stdout) == (code, "")
    for word in words:
        assert word in " ".join(done.stderr.split()), done.stderr


def test_it_looks_for_steps_and_leaves_a_profile(bench: Callable[..., Any], run: Run, folder: Path) -> None:
    report = bench("one", "--resolution", "64KiB", "--seconds", 20)
    (engine,) = report["engines"]
    (found,) = engine["batches"]
    points = found["points"]
    budgets = [point["budget_bytes"] for point in points]
    streamable = engine["streamable_bytes"]
    assert budgets == sorted(set(budgets)) and (budgets[0], budgets[-1]) == (0, streamable)
    assert len(budgets) >= 5, "nothing wider than an eighth stays unseen, or 64 KiB"
    assert all(point["runs"] >= 3 and 0 < point["least_milliseconds"] <= point["milliseconds"] for point in points)
    assert all(point["milliseconds"] <= point["p99_milliseconds"] for point in points)
    assert [point["streamed_bytes"] for point in points] == [streamable - budget for budget in budgets]
    assert report["bandwidth_bytes_per_second"] == max(p["bytes_per_second"] for p in points if p["streamed_bytes"])
    assert points[-1]["device_bytes"] == streamable and points[-1]["bytes_per_second"] is None
    assert (report["batches"], report["totals"][-1]["budget_bytes"]) == ([8], streamable)
    assert all(total["call"]["milliseconds"] > 0 and total["host_bytes"] > streamable for total in report["totals"])
    assert report["automatic_bytes"] == streamable, "the host has room for it"

    profile = Profile.read(beside(folder / "one.pte"))
    (measured,) = profile.engines
    assert (measured.sha256, measured.batch) == (pte.read(folder / "one.pte").engines[0].sha256, 8)
    worth = [point.budget_bytes for point in worth_using(measured.points)]
    assert [point["budget_bytes"] for point in points if point["worth_using"]] == worth
    assert profile.overhead_milliseconds == report["overhead_milliseconds"]
    assert profile.machine and measured.library.startswith("executorch ")
    budget = ("--weight-streaming-budget", streamable // 2, "--split", "latency", "--json")
    used = json.loads(run("run", folder / "one.pte", *budget).stdout)
    assert used["engines"][0]["budget_bytes"] in worth


def test_given_budgets_are_measured_and_both_ends(bench: Callable[..., Any]) -> None:
    (engine,) = bench("one", "--budgets", "25%, 8KiB,auto,1GiB")["engines"]
    streamable = engine["streamable_bytes"]
    found = [point["budget_bytes"] for point in engine["batches"][0]["points"]]
    assert found == [0, 8 * KIB, streamable // 4 // PAGE * PAGE, streamable], "auto and 1GiB are all of it"


def test_every_batch_is_measured_at_every_budget(bench: Callable[..., Any], folder: Path) -> None:
    report = bench("one", "--batch", "4,1,8", "--budgets", "50%", "-o", folder / "p.json")
    (engine,) = report["engines"]
    assert [each["batch"] for each in engine["batches"]] == report["batches"] == [4, 1, 8]
    assert [len(each["points"]) for each in engine["batches"]] == [3, 3, 3]
    assert [each["batch"] for each in report["totals"]] == [4] * 3 + [1] * 3 + [8] * 3
    (measured,) = Profile.read(folder / "p.json").engines
    assert (measured.batch, [other.batch for other in measured.other_batches]) == (4, [1, 8])
    assert not beside(folder / "one.pte").exists(), "only where it was asked for"


def test_inputs_say_their_batch(bench: Callable[..., Any], run: Run, folder: Path) -> None:
    np.save(folder / "x.npy", np.ones((3, FEATURES), np.float32))
    assert bench("one", "--input", folder / "x.npy", "--budgets", "0")["batches"] == [3]
    np.save(folder / "wide.npy", np.ones((3, FEATURES + 1), np.float32))
    refused(run("bench", folder / "one.pte", *QUICK, "--input", folder / "wide.npy"), 1, "[3, 257]")


def test_engines_are_measured_one_by_one_and_together(bench: Callable[..., Any], folder: Path) -> None:
    report = bench("two", "--resolution", "64KiB", "--seconds", 2)
    engines = {engine["name"]: engine for engine in report["engines"]}
    assert engines.keys() == {"up", "down"} and report["methods"] == ["down", "up"]
    for name, engine in engines.items():
        points = engine["batches"][0]["points"]
        assert (points[0]["budget_bytes"], points[-1]["budget_bytes"]) == (0, engine["streamable_bytes"]), name
    assert report["batches"] == [None]
    swept = {
        name: {point["budget_bytes"] for point in engine["batches"][0]["points"]} for name, engine in engines.items()
    }
    totals = report["totals"]
    assert [total["budget_bytes"] for total in totals] == sorted({total["budget_bytes"] for total in totals})
    assert totals[0]["budget_bytes"] == 0
    assert totals[-1]["budget_bytes"] == report["streamable_bytes"]
    for total in totals:
        parts = {name: each["budget_bytes"] for name, each in total["engines"].items()}
        assert sum(parts.values()) == total["budget_bytes"]
        assert all(part in swept[name] for name, part in parts.items()), "a split of measured budgets"
        assert total["call"]["milliseconds"] >= max(each["milliseconds"] for each in total["engines"].values())
    assert {engine.name for engine in Profile.read(beside(folder / "two.pte")).engines} == {"up", "down"}


def test_one_method_of_several(bench: Callable[..., Any], folder: Path) -> None:
    """A profile that lacks an engine is of no use to a load, and does not replace one that has all."""
    report = bench("two", "--method", "up", "--budgets", "0")
    assert (report["methods"], [engine["name"] for engine in report["engines"]]) == (["up"], ["up"])
    assert not beside(folder / "two.pte").exists()
    bench("two", "--method", "up", "--budgets", "0", "-o", folder / "up.json")
    assert [engine.name for engine in Profile.read(folder / "up.json").engines] == ["up"]
    bench("one", "--method", "forward", "--budgets", "0")
    assert beside(folder / "one.pte").exists(), "it has no other"


def test_nothing_to_stream_and_bfloat16(bench: Callable[..., Any], folder: Path) -> None:
    class Doubled(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x

    torchtrt_ws.save(Doubled(), folder / "doubled.pte", arg_inputs=(torch.zeros(2, 3, dtype=torch.bfloat16),))
    np.save(folder / "x.npy", np.zeros((2, 3), "V2"))
    report = bench("doubled", "--input", folder / "x.npy")
    (total,) = report["totals"]
    assert (total["budget_bytes"], report["bandwidth_bytes_per_second"]) == (0, None)
    (engine,) = Profile.read(beside(folder / "doubled.pte")).engines
    assert [point.budget_bytes for point in engine.points] == [0]


def test_the_table_fits_into_40_columns(run: Run, folder: Path) -> None:
    done = run("bench", folder / "two.pte", *QUICK, "--budgets", "0,50%", columns=40)
    assert (done.returncode, done.stderr) == (0, ""), "no bar where nobody looks"
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 40
    text = " ".join(done.stdout.split())
    for words in ("Engine up", "Engine down", "Budgets worth using", "0 B", "auto: 648 KiB, ", "profile:"):
        assert words in text, done.stdout


def test_a_picture_and_a_page(run: Run, folder: Path) -> None:
    options = ("--budgets", "0,50%", "--plot", folder / "curve.png", "--html", folder / "curve.html")
    done = run("bench", folder / "two.pte", *QUICK, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    text = (folder / "curve.html").read_text()
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert data["batches"][0]["curve"][0]["parts"].keys() == {"up", "down"}
    assert "weight_streaming_budget_per_engine={'down': 0, 'up': 0}" in data["batches"][0]["curve"][0]["line"]


@pytest.mark.parametrize(
    ("option", "package"), [("--plot=curve.png", "matplotlib"), ("--html=curve.html", "plotly")], ids=["plot", "html"]
)
def test_a_missing_extra_is_said_before_anything_is_measured(run: Run, folder: Path, option: str, package: str) -> None:
    flag, _, name = option.partition("=")
    before = f"import sys; sys.modules[{package!r}] = None"
    done = run("bench", folder / "one.pte", *QUICK, flag, folder / name, before=before)
    refused(done, 1, f"{package}: found none", "pip install torchtrt-ws[plot]")
    assert not beside(folder / "one.pte").exists()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--batch", "9"), 1, "found 9; expected 1 to 8"),
        (("--batch", "4,4"), 1, "expected each size once"),
        (("--batch", "4,x"), 2, "sizes above 0"),
        (("--batch", "0"), 2, "sizes above 0"),
        (("--batch", "1", "--input", "x.npy"), 2, "not both"),
        (("--input", "nothing.npy"), 1, "expected a .npy file"),
        (("--budgets", "50%,half"), 1, "budgets: found 'half'"),
        (("--seconds", "0"), 1, "seconds: found 0"),
        (("--resolution", "5%"), 1, "resolution: found '5%'"),
        (("--method", "sideways"), 1, "no engine in a method 'sideways'; expected one of forward"),
        (("--plot", "curve.gif"), 1, "expected .png or .svg or .pdf"),
        (("--html", "nowhere/page.html"), 1, "no folder"),
        (("--cuda-graph", "maybe"), 1, "cuda_graph"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_refused(run: Run, folder: Path, options: tuple[str, ...], code: int, words: str) -> None:
    refused(run("bench", folder / "one.pte", *QUICK, *options), code, words)
    assert [path.name for path in folder.iterdir() if path.suffix != ".pte"] == []


def test_methods_without_a_batch_dimension_are_named(run: Run, folder: Path) -> None:
    refused(run("bench", folder / "two.pte", "--batch", "2"), 1, "batch of method 'down'", "no such dimension")
    np.save(folder / "x.npy", np.ones((2, 64), np.float32))
    refused(run("bench", folder / "two.pte", "--input", folder / "x.npy"), 1, "2 methods: down, up", "Name the method")


def test_what_nobody_signed_is_not_measured(run: Run, folder: Path) -> None:
    assert run("keygen", folder / "key.pem").returncode == 0
    trusted = ("--trusted-key", folder / "key.pub.pem")
    refused(run("bench", folder / "one.pte", *QUICK, *trusted), 1, "one.pte.sig")
    assert run("sign", folder / "one.pte", "--key", folder / "key.pem").returncode == 0
    assert run("bench", folder / "one.pte", *QUICK, "--budgets", "0", *trusted).returncode == 0


def test_one_file_is_not_written_twice(run: Run, folder: Path) -> None:
    program, both = folder / "one.pte", folder / "both.html"
    for options in (("-o", program), ("-o", both, "--html", both)):
        refused(run("bench", program, *options), 1, "one file for two purposes")
    assert pte.read(program).engines


def test_a_file_without_digests_is_refused_at_once(run: Run, pte_folder: Path) -> None:
    program = pte_folder / "several.pte"
    refused(run("bench", program, "--seconds", "1000"), 1, "engine0: found an engine without a digest", "annotate")

"""A GPU report with a wrong number in it fails. Needs no GPU: the good report is a measured one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
# Each section as it was measured last.
GOOD: dict[str, Any] = {}
for machine in ("h100", "h200"):
    GOOD.update(json.loads((ROOT / "benchmarks" / "results" / f"gpu-{machine}.json").read_text()))
STEPS = ("load", "make_room", "give_back", "sleep", "wake")  # of the section `arbiter`


@pytest.fixture
def verdict(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import verdict

    return verdict


def test_the_measured_report_has_no_problem(verdict: Any) -> None:
    assert verdict.problems(GOOD) == []


def test_every_section_with_an_answer_is_checked(verdict: Any) -> None:
    measured_only = {"device", "small", "big", "crossover", "changes_floor", "python_calls", "broken_captures"}
    assert set(GOOD) - measured_only | {"runtime_cache"} == set(verdict.CHECKS)


def of_a_cache(hits: int, difference: float, how: str) -> dict[str, Any]:
    samples = [{"cache_hits": hits, "largest_difference": difference}]
    return {"runtime_cache": {"big": [{"percent": 50, "samples": {how: samples}}]}}


def test_a_cache_is_found_by_the_second_process_alone(verdict: Any) -> None:
    for hits, how in ((0, "off"), (0, "first"), (1, "second")):
        assert verdict.problems(of_a_cache(hits, 0.0, how)) == []
    assert verdict.problems(of_a_cache(0, 0.0, "second")) == ["runtime_cache: big at 50 %, second: 0 cache hits"]
    assert verdict.problems(of_a_cache(1, 0.0, "first")) == ["runtime_cache: big at 50 %, first: 1 cache hits"]
    (problem,) = verdict.problems(of_a_cache(1, 1.0, "second"))
    assert problem == "runtime_cache: big at 50 %, second: outputs differ by 1.0"
    assert verdict.problems({"runtime_cache": {}}) == ["runtime_cache: nothing was measured"]


Change = Callable[[dict[str, Any]], object]


def at(*path: Any, value: Any) -> Change:
    def change(report: dict[str, Any]) -> None:
        place: Any = report
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def life(step: str, *path: Any, value: Any) -> Change:
    """One step of the section `arbiter`."""
    return at("arbiter", "big", "lives", 0, "steps", STEPS.index(step), *path, value=value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (at("answers", "small", 2, "largest_difference", value=1.0), "answers: small at 50 %: outputs differ by 1.0"),
        (at("answers", "big", 0, "largest_difference", value=float("nan")), "answers: big at 100 %: outputs differ"),
        (at("answers", "big", value=[]), "answers: nothing was measured"),
        (at("planned", "planned", 0, "largest_difference", value=2.0), "planned: planned at 100 %"),
        (at("towers", 1, "largest_difference", value=1.0), "towers: 6MiB: outputs differ"),
        (at("towers", value=[]), "towers: nothing was measured"),
        (at("minilm", "runner", 0, "cosine", value=0.5), "minilm: runner at 100%: cosine 0.5"),
        (at("minilm", "python", 0, "cosine", value=float("nan")), "minilm: python at 100%: cosine nan"),
        (at("minilm", "python", value={"failed": "EngineError: no"}), "minilm: python: {'failed': 'EngineError: no'}"),
        (at("decoder", 5, "cosine", value=0.9), "decoder: streaming at 50%: cosine 0.9"),
        (at("decoder", value=GOOD["decoder"][:1]), "decoder: streaming: nothing was measured"),
        (at("precedence", "50%", "ran", value=False), "precedence: 50%: loaded, and ran wrong"),
        (at("precedence", "50%", "error", value="Error::Internal"), "precedence: 50%: Error::Internal"),
        (at("full", "300", "nothing", "error", value="Error::Internal"), "bytes free, nothing: Error::Internal"),
        (at("changes", "wrong", value=1), "changes: 1 of 4005 runs wrong"),
        (at("changes_big", "failed", value=3), "changes_big: 3 of 86 runs failed"),
        (at("changes", "runs", value=0), "changes: nothing ran meanwhile"),
        (at("verify", "damaged", "digest", "exit", value=0), "verify: digest: a damaged plan was loaded"),
        (at("probes", "probes", "checksum", 1, value="wrong"), "probes: checksum: byte"),
        (at("probes", "unchanged", "off", value="wrong"), "probes: off: the good plan: wrong"),
        (at("probes", "probes", "checksum", value=[]), "probes: "),
        (at("split", 0, "ours", "failed", value=["large: no room"]), "split: pair, 1.2x free, ours: large: no room"),
        (at("split", 1, "ours_reversed", "engines", 0, "us", value=-1), "split: pair, 0.8x free, ours_reversed: "),
        (at("split", value=[]), "split: nothing was measured"),
        (at("copies", "shared", 1, "right", value=False), "copies: shared: load 2 ran wrong"),
        (at("copies", "shared", 3, "device", value=2 * 10**9), "copies: shared: 2000000000 bytes after 4 loads"),
        (at("activation", 0, "block", "right", value=False), "activation: 100 %, block: ran wrong"),
        (at("activation", 0, "apart", "device", value=9), "activation: 100 %: 891289600 bytes in one block, 9 apart"),
        (at("large", "answers", 1, "cosine", value=0.9), "large: at 50 %: cosine 0.9"),
        (at("large", "answers", value=[]), "large: nothing was measured"),
        (at("large", "rows", value=[]), "large: nothing was measured"),
        (at("activation", value=[]), "activation: nothing was measured"),
        (at("contexts", "small", 5, "wrong", value=1), "contexts: small at 50 %, 4 contexts: 1 calls failed or were"),
        (at("contexts", "big", 4, "sharing", value=1), "contexts: big at 50 %, 2 contexts: 1 on the weights of the"),
        (at("contexts", "big", value=[]), "contexts: nothing was measured"),
        (life("load", "right", value=[False]), "arbiter: big: load: ran wrong"),
        (life("make_room", "freed", value=399), "arbiter: big: make_room: 399 bytes of 400000000 are free"),
        (life("make_room", "failed", value="no room"), "arbiter: big: make_room: no room"),
        (life("give_back", "engines", 0, "budget", value=500), "arbiter: big: give_back: budgets [(500, 'load-time')]"),
        (life("wake", "engines", 0, "source", value="none"), "arbiter: big: wake: budgets [(536871168, 'none')], not"),
        (life("sleep", "right", value=[True]), "arbiter: big: sleep: an engine is awake"),
        (life("sleep", "engines", 0, "asleep", value=False), "arbiter: big: sleep: an engine is awake"),
        (life("sleep", "device", value=10**9), "arbiter: big: sleep: 1000000000 bytes stay on the device"),
        (at("arbiter", value={}), "arbiter: nothing was measured"),
        (at("acceptance", "plain", "failed", value=["Io.Runs"]), "acceptance: plain: failed: Io.Runs"),
        (at("acceptance", "plain", "exit", value=-11), "acceptance: plain: exit code -11"),
        (at("acceptance", "plain", "passed", value=0), "acceptance: plain: no test passed"),
        (at("acceptance", "memcheck", "exit", value=9), "acceptance: memcheck: exit code 9 ERROR SUMMARY"),
        (at("acceptance", value={}), "acceptance: nothing was measured"),
        (at("commands", "minilm", "loads", value=False), "commands: minilm: check says that it does not load"),
        (
            at("commands", "big", "held_out", 0, "budgets", "big", value=10**9),
            "commands: big at 3%: plan says {'big': ",
        ),
        (at("commands", value={}), "commands: nothing was measured"),
        (at("refit", "big", "failed", value=["Refit.It"]), "refit: big: failed: Refit.It"),
        (at("refit", value={}), "refit: nothing was measured"),
        (at("refit_large", value={}), "refit_large: nothing was measured"),
        (at("separate", "big", "equal", "0%", value=False), "separate: big at 0%: not what the whole program"),
        (at("separate", "big", "cached_equal", value=False), "separate: big from the cache: not what the whole"),
        (
            at("separate", "big", "loads", "from the cache", "cache_hits", value=0),
            "separate: big: cache hits [0, 0, 0, 0]",
        ),
        (at("separate", "big", "without_weights", value="it loaded"), "separate: big without its weights: it loaded"),
        (at("separate", value={}), "separate: nothing was measured"),
        (at("separate_save", "equal", "50%", value=False), "separate_save: at 50%: not what the whole program"),
        (at("separate_save", "merged_equal", value=False), "separate_save: merged: not what the whole program"),
        (at("separate_save", "cosine", value=0.9), "separate_save: cosine 0.9"),
        (at("quantized", "int8", "right", value=False), "quantized: int8: an error of 0."),
        (at("quantized", "int4-groups", "equal_at_all_budgets", value=False), "quantized: int4-groups: other"),
        (at("smollm2", 1, "cosine", value=0.99), "smollm2: at 50%: cosine 0.99"),
        (at("smollm2", 2, "same_text", value=False), "smollm2: at 0%: another text from token"),
        (at("smollm2", value=[]), "smollm2: nothing was measured"),
        (at("small", value={"failed": "RuntimeError: exit 1"}), "small: RuntimeError: exit 1"),
        (at("towers", 0, value={}), "towers: cannot be checked: KeyError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_a_problem(verdict: Any, change: Change, words: str) -> None:
    report = copy.deepcopy(GOOD)
    change(report)
    (problem,) = verdict.problems(report)
    assert words in problem


def test_the_committed_table_is_that_of_the_report(verdict: Any) -> None:
    import table

    for path in sorted((ROOT / "benchmarks" / "results").glob("gpu-*.json")):
        assert table.markdown(json.loads(path.read_text())) == path.with_suffix(".md").read_text(), path.name


def test_what_a_machine_lacks_is_no_problem(verdict: Any) -> None:
    report = copy.deepcopy(GOOD)
    report["acceptance"]["racecheck"] = {"skipped": "no compute-sanitizer"}
    report["minilm"] = {"skipped": "programs.json has no minilm"}
    del report["planned"]  # not asked for
    assert verdict.problems(report) == []


@pytest.mark.parametrize(("difference", "code"), [(0.0, 0), (1.0, 1)])
def test_the_exit_code(
    verdict: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, difference: float, code: int
) -> None:
    """report.py itself, with one section that is already measured."""
    import report

    rows = copy.deepcopy(GOOD["answers"])
    rows["small"][0]["largest_difference"] = difference
    (tmp_path / "programs.json").write_text("{}")
    monkeypatch.setattr(report, "sections", lambda machine, folder: {"answers": lambda: rows})
    monkeypatch.setattr(report, "device", lambda: GOOD["device"])
    folders = ["--build", str(tmp_path), "--programs", str(tmp_path), "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["report.py", "--name", "here", *folders])
    if code == 0:
        report.main()
    else:
        with pytest.raises(SystemExit, match=r"answers: small at 100 %: outputs differ by 1.0"):
            report.main()
    assert (tmp_path / "gpu-here.md").exists(), "the report is written in any case"

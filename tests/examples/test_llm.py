"""examples/llm: saved, and run from Python and from C++, token for token what transformers does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from warm_python import python

import torchtrt_ws
from torchtrt_ws import pte

LLM = Path(__file__).parents[2] / "examples" / "llm"
sys.path.insert(0, str(LLM))

pytest.importorskip("transformers", reason="pip install torchtrt-ws[examples]")
import models  # noqa: E402
from generate import generate  # noqa: E402

TINY = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
PROMPT = [7, 250, 3, 91, 12, 55, 8, 120, 33]
TOKENS, PIECE = 40, 4  # the cache holds, and one call takes


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A program of random weights, and the model."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "config.json").write_text(json.dumps(TINY))
    run("save.py", folder / "config.json", folder / "tiny.pte", "--tokens", TOKENS, "--prompt", PIECE)
    return folder / "tiny.pte", models.load_model(str(folder / "config.json"))


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    done = python(LLM / script, *arguments, exports=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done


def eager(model: Any, ids: list[int], count: int) -> list[int]:
    """The `count` most likely tokens behind `ids`."""
    with torch.no_grad():
        made = model.generate(
            torch.tensor([ids]), max_new_tokens=count, min_new_tokens=count, do_sample=False, pad_token_id=0
        )
    return [int(each) for each in made[0, len(ids) :]]


def test_the_most_likely_tokens_are_those_of_the_model(tiny: tuple[Path, Any]) -> None:
    path, model = tiny
    program = torchtrt_ws.load(path, weight_streaming_budget="50%")
    for prompt in (PROMPT, PROMPT[:1], PROMPT[2:]):  # one after the other: a new one begins at 0
        assert list(generate(program, prompt, tokens=20)) == eager(model, prompt, 20)


def test_drawn_tokens_are_likely_and_repeat_with_the_seed(tiny: tuple[Path, Any]) -> None:
    path, model = tiny
    program = torchtrt_ws.load(path)
    made = [list(generate(program, PROMPT, tokens=20, top_k=3, seed=seed)) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    with torch.no_grad():
        logits = model(torch.tensor([PROMPT + made[0]])).logits[0]
    for position, token in enumerate(made[0], len(PROMPT) - 1):
        assert token in logits[position].topk(3).indices
    end = made[0][4]
    assert list(generate(program, PROMPT, tokens=20, top_k=3, seed=1, end=[end])) == made[0][: made[0].index(end)]
    with pytest.raises(ValueError, match="empty prompt"):
        next(generate(program, []))


def test_cpp_makes_the_same_tokens(tiny: tuple[Path, Any], build_project: Callable[[Path], Path]) -> None:
    path, model = tiny
    app = build_project(LLM / "cpp") / "llm"
    command = [str(app), str(path), "--budget", "65536", "--tokens", "20", *map(str, PROMPT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert [int(line) for line in done.stdout.split()] == eager(model, PROMPT, 20)
    assert "20 tokens" in done.stderr
    assert "65536 of " in done.stderr
    ended = subprocess.run([*command, "--end", done.stdout.split()[3]], capture_output=True, text=True, timeout=300)
    assert ended.stdout == "".join(f"{line}\n" for line in done.stdout.split()[:3])
    for wrong in ([], [str(path)], [str(path), "x"], ["none.pte", "1"]):
        failed = subprocess.run([str(app), *wrong], capture_output=True, text=True, timeout=300)
        assert failed.returncode == 1
        assert "llm: " in failed.stderr
    assert len((LLM / "cpp" / "main.cpp").read_text().splitlines()) <= 150


def test_tensorrt_rtx_takes_table_and_cache(tiny: tuple[Path, Any], tmp_path: Path) -> None:
    """Built here; what it computes is tested where there is a GPU."""
    pytest.importorskip("tensorrt_rtx", reason="pip install torchtrt-ws[rtx]")
    config = tiny[0].with_name("config.json")
    path = tmp_path / "a.pte"
    run(
        "save.py", config, path, "--engine", "tensorrt_rtx", "--dtype", "float16", "--tokens", TOKENS, "--prompt", PIECE
    )
    (engine,) = pte.read(path).engines
    own = engine.metadata.own
    assert own is not None
    shape = (1, TINY["num_key_value_heads"], TOKENS, 16)
    assert [(each.input, each.dtype, each.shape) for each in own.state] == [
        (f"b_{name}_{layer}", "float16", shape) for layer in range(2) for name in ("keys", "values")
    ]
    assert len(engine.optimization_profiles) == 1  # with two, TensorRT-RTX has most weights twice


def test_matrices_are_integers(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="pip install torchtrt-ws[rtx]")
    config, path = tmp_path / "config.json", tmp_path / "a.pte"
    config.write_text(json.dumps(TINY))
    options = ("--engine", "tensorrt_rtx", "--dtype", "float16", "--prompt", PIECE, "--quantize", "int4")
    run("save.py", config, path, *options)
    (engine,) = pte.read(path).engines
    own = engine.metadata.own
    assert own is not None and own.streaming is not None
    found = {each.name: each.bytes for each in own.streaming.largest if each.name.endswith("_quantized")}
    assert found["model.lm_head.weight_quantized"] == 300 * 64 // 2, own.streaming
    data = path.read_bytes()
    for layer in range(2):  # TensorRT's layers have the names of the module's
        assert f"model.layers.{layer}.mlp.up_proj.weight_quantized".encode() in data
    refused = python(LLM / "save.py", config, path, "--quantize", "int8", exports=True, timeout=300)
    assert refused.returncode == 2 and "goes with --engine tensorrt_rtx" in refused.stderr


def test_rows_without_a_group_are_refused() -> None:
    pytest.importorskip("torchao")
    from quantize import quantize

    with pytest.raises(ValueError, match=r"0: found rows of 48 numbers; expected a multiple of 32"):
        quantize(torch.nn.Sequential(torch.nn.Linear(48, 8)), "int4")
    mixed = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.Linear(256, 8)).half()
    quantize(mixed, "int4")
    weights: list[Any] = [each.weight for each in mixed]
    assert [each.block_size for each in weights] == [(1, 64), (1, 128)]

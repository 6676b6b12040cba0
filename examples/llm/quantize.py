"""The matrices of a language model as torchao's integers, which TensorRT-RTX multiplies with as they are."""

from __future__ import annotations

import torch

KINDS = ("int8", "int4")
GROUPS = (128, 64, 32)  # numbers of a row that have one scale, of int4: the largest that fits


def quantize(model: torch.nn.Module, kind: str) -> None:
    """Quantizes all linear layers in place. Tables are no such layers: rows are looked up in them.

    Args:
        model: In float16 or bfloat16.
        kind: "int8", with a scale for each row, or "int4", with one for each group of a row.

    Raises:
        ValueError: A layer with rows that no group fits.
    """
    from torchao import quantization
    from torchao.quantization.granularity import PerGroup

    layers = {name: each for name, each in model.named_modules() if isinstance(each, torch.nn.Linear)}
    sizes = {name: _group(name, each.in_features) if kind == "int4" else 0 for name, each in layers.items()}
    for size in sorted(set(sizes.values())):
        config = quantization.IntxWeightOnlyConfig()
        if size:
            four: torch.dtype = torch.int4  # type: ignore[attr-defined]  # torch's stubs lack it
            config = quantization.IntxWeightOnlyConfig(weight_dtype=four, granularity=PerGroup(size))
        quantization.quantize_(model, config, filter_fn=lambda _, name, size=size: sizes.get(name) == size)


def _group(name: str, columns: int) -> int:
    found = next((each for each in GROUPS if columns % each == 0), None)
    if found is None:
        raise ValueError(f"{name}: found rows of {columns} numbers; expected a multiple of {GROUPS[-1]}")
    return found

"""A decoder's shape with a large table and a large head: the export for streaming against the plain one, on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BUDGETS = ("100%", "75%", "50%", "25%", "0%")
EXPORTS = ("plain", "streaming")
PERIOD = 4093  # elements of a matrix after which they come again: random enough, and small when compressed
LEAST_COSINE = 0.999  # of the last token's logits in float16, against float32


@dataclass(frozen=True)
class Sizes:
    """With the defaults 134 MB of fp16 weights in layers, and 131 MB each in table and head."""

    layers: int = 8
    width: int = 1024
    hidden: int = 2730
    vocabulary: int = 64000
    tokens: int = 64


def build(sizes: Sizes) -> Any:
    """Gated layers with random weights of a seed; gives the last token's logits. A torch.nn.Module, float16."""
    import torch

    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = torch.nn.RMSNorm(sizes.width)
            self.gate, self.up = (torch.nn.Linear(sizes.width, sizes.hidden, bias=False) for _ in range(2))
            self.down = torch.nn.Linear(sizes.hidden, sizes.width, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.norm(x)
            return x + self.down(torch.nn.functional.silu(self.gate(y)) * self.up(y))

    class Decoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(sizes.vocabulary, sizes.width)
            self.layers = torch.nn.ModuleList([Layer() for _ in range(sizes.layers)])
            self.norm = torch.nn.RMSNorm(sizes.width)
            self.head = torch.nn.Linear(sizes.width, sizes.vocabulary, bias=False)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.table(ids)
            for layer in self.layers:
                x = layer(x)
            logits: torch.Tensor = self.head(self.norm(x[:, -1]))
            return logits

    torch.manual_seed(0)
    model = Decoder().half().eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                repeats = -(-weight.numel() // PERIOD)
                weight.copy_(weight.flatten()[:PERIOD].repeat(repeats)[: weight.numel()].view_as(weight))
    return model


def write(folder: Path, sizes: Sizes | None = None, streaming: Any = True) -> dict[str, Any]:
    """Saves both programs, with input and expected output.

    Args:
        folder: Where to.
        sizes: Of the model.
        streaming: What `torchtrt_ws.save` takes, for the program that has it.

    Returns:
        What `measure` wants to know.
    """
    import torch

    import torchtrt_ws

    sizes = sizes or Sizes()
    model = build(sizes)
    ids = torch.randint(0, sizes.vocabulary, (1, sizes.tokens), generator=torch.Generator().manual_seed(1))
    for export, chosen in zip(EXPORTS, (False, streaming), strict=True):
        path = folder / f"decoder-{export}.pte"
        torchtrt_ws.save(model, path, arg_inputs=(ids,), engine="tensorrt_rtx", streaming=chosen)
    np.save(folder / "decoder-ids.npy", ids.numpy())
    with torch.no_grad():
        np.save(folder / "decoder-expected.npy", model.float()(ids).numpy())
    files = {export: f"decoder-{export}.pte" for export in EXPORTS}
    return {
        "file": files["streaming"],
        "files": files,
        "inputs": ["decoder-ids.npy"],
        "expected": "decoder-expected.npy",
    }


def measure(machine: Any, cosine: Any) -> Any:
    """Both programs at each budget, in turn.

    Args:
        machine: report.Machine.
        cosine: report.cosine.

    Returns:
        A row for each run: device and scratch memory are bytes.
    """
    facts = machine.facts.get("decoder")
    if facts is None:
        return {"skipped": "programs.json has no decoder"}
    expected = np.load(machine.programs / facts["expected"])
    rows = []
    for budget in BUDGETS:
        for export in EXPORTS:
            program = machine.programs / facts["files"][export]
            report, found = machine.app_of("decoder", program, "--weight-streaming-budget", budget, "--repeat", 50)
            rows.append(
                {
                    "export": export,
                    "asked": budget,
                    "budgets": {engine["engine"]: engine["budget_bytes"] for engine in report.engines},
                    "scratch": {engine["engine"]: engine["scratch_bytes"] for engine in report.engines},
                    "device_bytes": sum(engine["device_bytes"] for engine in report.engines),
                    "ms": report.method["run_seconds"] * 1e3,
                    "cosine": cosine(found, expected),
                }
            )
    return rows


def problems(section: Any) -> Iterator[str]:
    """What must not be in a section that `measure` made."""
    if isinstance(section, dict) and "skipped" in section:
        return
    for export in EXPORTS:
        if not any(row["export"] == export for row in section):
            yield f"{export}: nothing was measured"
    for row in section:
        if not row["cosine"] >= LEAST_COSINE:
            yield f"{row['export']} at {row['asked']}: cosine {row['cosine']}"


HEAD = ["budget", "export", "weights on the device, MB", "scratch, MB", "device memory, MB", "ms a call", "cosine"]


def rows(section: Any) -> list[list[object]]:
    """The rows of the report's table, for a section that `measure` made; `HEAD` are its columns."""
    return [
        [
            row["asked"],
            row["export"],
            " + ".join(f"{size / 1e6:.0f}" for size in row["budgets"].values()),
            " + ".join(f"{size / 1e6:.0f}" for size in row["scratch"].values()),
            f"{row['device_bytes'] / 1e6:.0f}",
            f"{row['ms']:.3f}",
            f"{row['cosine']:.6f}",
        ]
        for row in section
    ]

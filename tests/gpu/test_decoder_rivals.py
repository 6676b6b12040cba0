"""benchmarks/gpu/decoder without a GPU: rivals compute the same, programs are put together as `save` does it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from torchtrt_ws import pte

FOLDER = Path(__file__).resolve().parent.parent.parent / "benchmarks" / "gpu" / "decoder"


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    import model

    return model


def logits_of(run: Any, models: Any, shape: Any) -> list[torch.Tensor]:
    """Of a prompt, and of two tokens behind it."""
    ids = models.prompt(shape, 1, shape.prompt + 2)
    with torch.inference_mode():
        first = run(ids[:, : shape.prompt], torch.zeros(1, dtype=torch.int64))
        rest = [run(ids[:, [at]], torch.tensor([at])) for at in (shape.prompt, shape.prompt + 1)]
    return [first, *rest]


@pytest.mark.parametrize("resident", [0, 1, 2])
def test_a_double_buffer_computes_what_eager_does(models: Any, resident: int) -> None:
    from double_buffer import DoubleBuffer

    shape = replace(models.SHAPES["tiny"], layers=4)
    decoder = models.build(shape, torch.float32)
    decoder.set_batch(1)
    expected = logits_of(decoder, models, shape)
    buffered = DoubleBuffer(decoder, "cpu")
    count = len(buffered.parts)
    assert count > shape.layers  # pieces of the head, too
    buffered.set_resident((resident + 2) * buffered.largest)
    assert len(buffered.streamed) == count - resident
    buffered.set_batch(1)
    torch.testing.assert_close(logits_of(buffered, models, shape), expected, rtol=1e-4, atol=1e-5)
    buffered.set_resident(1 << 40)
    assert not buffered.streamed
    buffered.set_batch(1)
    torch.testing.assert_close(logits_of(buffered, models, shape), expected, rtol=1e-4, atol=1e-5)


def test_accelerate_computes_what_eager_does(models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("accelerate")
    import rivals
    import timing

    monkeypatch.setattr(timing, "SECONDS", 0.0)
    shape = models.SHAPES["tiny"]
    for name in ("eager", "accelerate"):
        for row in rivals.measure(name, shape, tmp_path, [0]):
            assert row["cosine"] > 0.9999
            assert row["batch_8"]["decode"]["calls"] >= timing.FEWEST


@pytest.mark.parametrize("kind", ["float16", "int8", "int4"])
def test_a_program_that_is_put_together(models: Any, kind: str, tmp_path: Path) -> None:
    """Its plan has all weights, which heads.py never saw; its table is where `save` has it; its digests are right."""
    pytest.importorskip("tensorrt_rtx", reason="pip install torchtrt-ws[rtx]")
    import assemble
    import heads

    from torchtrt_ws.export.streaming import StreamingOptions

    # Wide enough for quantized weights, which are left out from 64 KiB on.
    shape = replace(models.SHAPES["tiny"], layers=1, width=512, hidden=640, weights=kind)
    heads.write(tmp_path, shape, (1,), ("streaming",), StreamingOptions(min_table_bytes=1, min_head_bytes=1))
    facts = json.loads((tmp_path / "decoder.json").read_text())["programs"]["streaming-1"]
    weights = assemble.weights(shape)
    path = tmp_path / "decoder.pte"
    assert assemble.program(assemble.import_tensorrt(), tmp_path, "streaming-1", facts, weights, path)
    assert all(each.sha256 == each.recorded_sha256 for each in pte.check_digests(path).engines)
    (engine,) = pte.read(path).engines
    data = path.read_bytes()
    plan = data[engine.engine_offset : engine.engine_offset + engine.engine_bytes]
    for name, weight in weights.items():
        if weight.dim() == 1 or "_scale" in name:
            continue
        where = data if name == "table.weight" else plan
        # TensorRT joins matrices and may turn them: a row is whole then, or a column.
        either = [each[0].contiguous().view(torch.uint8).numpy().tobytes() for each in (weight, weight.t())]
        assert sum(where.count(each) for each in either) == 1, name
    assert len(engine.metadata.own.state if engine.metadata.own else ()) == 2 * shape.layers


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_the_decoder_has_what_its_integers_stand_for(models: Any, kind: str) -> None:
    """As torchao computes it; and the integers as the package packs them."""
    import assemble
    import quantized

    from torchtrt_ws.export.graph.dequantize import pack

    shape = replace(models.SHAPES["tiny"], layers=1, width=512, weights=kind)
    decoder, found = models.build(shape), assemble.weights(shape)
    assert set(found) > {"table.weight", "norm.weight", "head.weight_quantized", "head.weight_scale"}
    for seed, (name, each) in enumerate(models.matrices(decoder)):
        if name == "table.weight":
            continue
        numbers, scale = models.numbers(each, kind, seed)
        assert each.equal(quantized.as_torchao(numbers, scale, kind).dequantize())
        assert found[f"{name}_quantized"].equal(pack(numbers) if kind == "int4" else numbers)
        assert (numbers.min(), numbers.max()) == ((-8, 7) if kind == "int4" else (-128, 127))
        assert 0.015 < each.float().std() < 0.025


ROW = {"ms": 2.0, "tokens_per_second": 500.0}


def test_the_table_and_the_plot(models: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    import plots

    steps = {"batch_1": {"decode": ROW, "prefill": ROW}, "host_peak_bytes": 3_000_000_000}
    results = {
        "link": {"bytes_per_second": 50e9},
        "build-1": {"weight_bytes": 16_000_000_000, "ours_seconds": 40.0, "bare_seconds": 41.0},
        "ours-1": {
            "rows": [
                {**steps, "device_bytes": 6_000_000_000, "percent": 25, "load_seconds": 1.5, "load_again_seconds": 0.4}
            ]
        },
        "bare-1": {"rows": [{**steps, "device_bytes": 6_000_000_000, "cosine": 1.0}]},
        "accelerate": {"failed": "exit 1: no room"},
    }
    plots.write(results, tmp_path / "decoder-here-8b", models.SHAPES["8b"])
    text = (tmp_path / "decoder-here-8b.md").read_text()
    assert "| 6.00 | torchtrt-ws, 25 % | 2.00 | 500.0 | 200.0 | 1.5 | 0.4 | 3.0 |  |" in text
    assert "Failed: accelerate: exit 1: no room" in text
    assert (tmp_path / "decoder-here-8b.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "decoder-here-8b.json").read_text())["shape"]["layers"] == 32

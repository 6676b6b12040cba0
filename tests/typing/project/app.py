"""What a user's program says to the type checkers: every line of this is right."""

import io
import logging
from pathlib import Path

import numpy as np
from typing_extensions import assert_type

import torchtrt_ws
from torchtrt_ws import logs, memory
from torchtrt_ws.runtime import CheckReport, Engine, Outputs, Program, Signature, TensorSpec, WeightStreaming


def serve(path: Path, contents: bytes) -> list[str]:
    """Loads, runs, and looks."""
    report = torchtrt_ws.check(path, weight_streaming_budget="50%", isolated=True)
    assert_type(report, CheckReport)
    assert_type(report.engines[0].facts[0].bytes, dict[str, int])
    logs.verbose()
    logs.quiet()
    logging.getLogger(logs.ENGINES)
    with torchtrt_ws.load(path, weight_streaming_budget="50%", contexts=2) as program:
        assert_type(program, Program)
        x = np.zeros((2, 3), np.float32)
        found = program(x)
        assert_type(found, Outputs)
        (y,) = program.run("forward", input_ids=x, out=[np.empty_like(x)])
        np.asarray(y)
        np.asarray(found["logits"])
        assert_type(found.keys(), tuple[str, ...])
        assert_type(program.inputs, tuple[TensorSpec, ...])
        assert_type(program.signature("forward"), Signature)
        assert_type(program.inputs[0].name, str)
        assert_type(program.inputs[0].shape, tuple[int, ...] | None)
        assert_type(program.engines, tuple[Engine, ...])
        assert_type(program.engines[0].budget_bytes, int)
        program.set_weight_streaming_budget("75%", split="latency")
        program.priority = 3
        with torchtrt_ws.weight_streaming(program) as ctx:
            assert_type(ctx, WeightStreaming)
            ctx.device_budget = ctx.total_device_budget // 2
    for source in (str(path), contents, bytearray(contents), memoryview(contents)):
        torchtrt_ws.load(source).close()
    torchtrt_ws.load(io.BytesIO(contents), data=[path.with_suffix(".ptd")])
    with path.open("rb") as file:
        torchtrt_ws.load(file, weight_streaming_budget_per_engine={"encoder": "1GiB", "decoder": None})
    assert_type(memory.make_room("1GiB"), int)
    torchtrt_ws.set_defaults(weight_streaming_budget=1 << 30, share_engines=True)
    try:
        torchtrt_ws.set_budget(path, "25%")
    except torchtrt_ws.WeightStreamingError as error:
        return [error.subject, str(error.found), error.expected, error.next_step]
    return [torchtrt_ws.__version__]

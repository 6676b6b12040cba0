"""What ExecuTorch's Inspector reads of a load and its runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import torchtrt_ws
from torchtrt_ws.errors import ProgramError

FEATURES = 1024


def stages(dump: bytes, folder: Path) -> dict[str, list[str]]:
    """Names of our events, in order, by the block they are in; each must have taken its time from a clock."""
    from executorch.devtools import Inspector

    path = folder / "run.etdp"
    path.write_bytes(dump)
    found: dict[str, list[str]] = {}
    for block in Inspector(etdump_path=str(path)).event_blocks:
        for event in block.events:
            if not event.is_delegated_op:
                continue
            assert event.perf_data is not None and all(took >= 0 for took in event.perf_data.raw)
            assert (event.delegate_debug_metadatas or [b""]) == [b"" if event.name == "parse" else b"forward"]
            found.setdefault(block.name, []).append(event.name)
    return found


def test_a_host_engine(plain: Path, tmp_path: Path) -> None:
    program = torchtrt_ws.load(plain, etdump=True, weight_streaming_budget="1MiB")
    x = np.zeros((2, FEATURES), np.float32)
    program(x)
    found = stages(program.etdump(), tmp_path)
    (load,) = (names for block, names in found.items() if block.startswith("Default"))
    assert load == ["parse", "verify", "deserialize", "budget", "context"] or load == [
        "parse", "verify", "pack", "deserialize", "budget", "context",
    ]  # fmt: skip
    (run,) = (names for block, names in found.items() if block.startswith("Execute"))
    assert run == ["execute", "page out"]
    assert program.etdump() == b""  # it was taken
    program(x)
    assert list(stages(program.etdump(), tmp_path).values()) == [["execute", "page out"]]


def test_verification_that_is_off_is_no_stage(plain: Path, tmp_path: Path) -> None:
    program = torchtrt_ws.load(plain, etdump=True, verify="off")
    found = stages(program.etdump(), tmp_path)
    assert "verify" not in [name for names in found.values() for name in names]


def test_who_did_not_ask_is_told(plain: Path) -> None:
    program = torchtrt_ws.load(plain)
    with pytest.raises(ProgramError, match="etdump=True"):
        program.etdump()


def test_not_with_several_contexts(plain: Path) -> None:
    with pytest.raises(ProgramError, match="etdump"):
        torchtrt_ws.load(plain, contexts=2, etdump=True)


def test_executorchs_own_runtime_records_the_same(plain: Path, tmp_path: Path) -> None:
    """Its Python module carries a tracer too; nothing of ours but the import is needed."""
    import torch
    from executorch.runtime import Runtime

    import torchtrt_ws.runtime  # noqa: F401

    program = Runtime.get().load_program(plain, enable_etdump=True)
    program.load_method("forward").execute([torch.zeros(2, FEATURES)])
    dump, debug = tmp_path / "run.etdp", tmp_path / "debug.bin"
    program.write_etdump_result_to_file(str(dump), str(debug))
    names = {name for names in stages(dump.read_bytes(), tmp_path).values() for name in names}
    assert {"parse", "verify", "context", "execute"} <= names

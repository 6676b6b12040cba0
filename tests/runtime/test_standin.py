"""Engines of kind "tensorrt" from Python, where there is no GPU: the stand-ins of tests/standin/README.md behind the
adapter that is installed. The cases are in the scripts below; each runs in a
process of its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
from warm_python import python

HERE = Path(__file__).resolve().parent
STANDINS = HERE.parent.parent / "build" / "dev" / "tests" / "standin" / "lib"


def _cases(script: str) -> Any:
    # By its file: folders of tests are no packages.
    spec = importlib.util.spec_from_file_location(script, HERE / f"{script}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPTS = {
    script: _cases(script)
    for script in (
        "standin_cases",
        "memory_cases",
        "seen_cases",
        "device_cases",
        "bench_cases",
        "variant_cases",
        "refit_cases",
    )
}


def library(pattern: str) -> Path:
    found = sorted(STANDINS.glob(pattern))
    if not found:
        pytest.skip(f"no stand-ins in {STANDINS}; make dev builds them where it finds CUDA's and TensorRT's headers")
    return found[0]


def run(script: str, *arguments: object, **environment: str) -> None:
    done = python(HERE / f"{script}.py", *arguments, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr


def stages(dump: Path) -> list[str]:
    """Names of our events, in order, as ExecuTorch's Inspector reads them."""
    from executorch.devtools import Inspector

    found: list[str] = []
    for block in Inspector(etdump_path=str(dump)).event_blocks:
        for event in block.events:
            if event.is_delegated_op:
                assert set(event.delegate_debug_metadatas) == {b"tower"} or event.name == "parse", event
                assert event.perf_data is not None
                found += [event.name] * len(event.perf_data.raw)
    return found


@pytest.mark.parametrize(
    ("script", "case"),
    [pytest.param(script, case, id=case) for script, module in SCRIPTS.items() for case in module.CASES],
)
def test_standin(standin_programs: Path, script: str, case: str) -> None:
    if case == "ranges":
        library("libstandin_nvtx.so")  # built where NVTX is found
    # Before the RUNPATH of the adapter, which leads to the real CUDA runtime that it was linked with.
    path = os.pathsep.join(filter(None, [str(STANDINS), os.environ.get("LD_LIBRARY_PATH")]))
    run(
        script,
        case,
        standin_programs,
        LD_LIBRARY_PATH=path,
        TORCHTRT_WS_NVINFER=str(library("libnvinfer.so.??")),
        TORCHTRT_WS_TENSORRT_RTX=str(library("libtensorrt_rtx.so.1")),
        **{
            name: value.replace("{folder}", str(standin_programs)).replace("{standins}", str(STANDINS))
            for name, value in getattr(SCRIPTS[script], "ENVIRONMENT", {}).get(case, {}).items()
        },
    )
    if case.startswith("stages"):
        dumps = sorted(standin_programs.glob(f"{case}.*.etdp"))
        assert dumps, "seen_cases.py leaves what was recorded"
        for dump in dumps:
            wanted = json.loads(dump.with_suffix(".json").read_text())
            found = stages(dump)
            if wanted["in_order"]:
                assert found == wanted["stages"], dump.name
            else:
                assert sorted(found) == sorted(wanted["stages"]), dump.name

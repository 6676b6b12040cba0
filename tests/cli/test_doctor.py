"""`torchtrt-ws doctor`: on the stand-ins (tests/standin), and on machines that lack this or that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from warm_python import python

import torchtrt_ws
from torchtrt_ws.diagnosis import Diagnosis
from torchtrt_ws.facts import NO, OK, Fact

ROOT = Path(__file__).resolve().parent.parent.parent
STANDINS = ROOT / "build" / "dev" / "tests" / "standin" / "lib"
GIB = 2**30


def doctor(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TORCHTRT_WS_", "STANDIN_"))}
    return python("-m", "torchtrt_ws", "doctor", *arguments, env={**kept, **environment})


def told(done: subprocess.CompletedProcess[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The whole, and its facts by name."""
    found = json.loads(done.stdout)
    assert found.keys() == {"ready", "next_step", "facts"}
    assert done.returncode == (0 if found["ready"] else 1), done.stderr
    return found, {fact["name"]: fact for fact in found["facts"]}


@pytest.fixture(scope="module")
def standins() -> dict[str, str]:
    libraries = sorted(STANDINS.glob("libnvinfer.so.??"))
    if not libraries:
        pytest.skip(f"no stand-ins in {STANDINS}; make dev builds them where it finds CUDA's and TensorRT's headers")
    path = os.pathsep.join(filter(None, [str(STANDINS), os.environ.get("LD_LIBRARY_PATH")]))
    return {
        "LD_LIBRARY_PATH": path,  # nothing else is set on a machine with all of it
        "TORCHTRT_WS_TENSORRT_RTX": str(
            STANDINS / "libtensorrt_rtx.so.1"
        ),  # or pip's would be found with LD_LIBRARY_PATH off
    }


def test_a_machine_with_all_of_it(standins: dict[str, str]) -> None:
    found, facts = told(doctor("--json", **standins))
    assert found["ready"], found
    assert "torchtrt-ws check" in found["next_step"]
    order = ["torchtrt-ws", "executorch", "native module", "adapter", "headers", "TensorRT", "TensorRT-RTX"]
    assert list(facts) == [*order, "CUDA runtime", "driver", "cuda:0", "cuda:1"]
    major = facts["headers"]["found"].removeprefix("TensorRT ").partition(".")[0]
    library = STANDINS / f"libnvinfer.so.{major}"
    assert facts["TensorRT"]["found"].startswith(f"{major}.") and f"({library})" in facts["TensorRT"]["found"]
    assert str(STANDINS) in facts["TensorRT-RTX"]["found"] and str(STANDINS) in facts["CUDA runtime"]["found"]
    assert facts["cuda:1"]["bytes"] == {"total": 8 * GIB}
    assert facts["torchtrt-ws"]["found"].startswith(torchtrt_ws.__version__)
    assert Path(facts["adapter"]["found"]).name == "libtorchtrt_ws_tensorrt.so"


def test_no_device(standins: dict[str, str]) -> None:
    found, facts = told(doctor("--json", **standins, STANDIN_DEVICES="0"))
    assert not found["ready"]
    assert (facts["device"]["verdict"], facts["TensorRT"]["verdict"]) == ("no", "ok")
    assert "a machine that has a GPU" in found["next_step"]


def test_no_tensorrt(standins: dict[str, str]) -> None:
    none = {"TORCHTRT_WS_NVINFER": "/no/libnvinfer.so", "TORCHTRT_WS_TENSORRT_RTX": "/no/libtensorrt_rtx.so"}
    found, facts = told(doctor("--json", **{**standins, **none}))
    assert not found["ready"]
    assert facts["cuda:0"]["verdict"] == "ok"
    assert "/no/libnvinfer.so" in facts["TensorRT"]["found"]
    assert found["next_step"].startswith("Install TensorRT") and "TORCHTRT_WS_" in found["next_step"]


def test_one_of_the_two_is_enough(standins: dict[str, str]) -> None:
    found, facts = told(doctor("--json", **{**standins, "TORCHTRT_WS_NVINFER": "/no/libnvinfer.so"}))
    assert found["ready"]
    assert (facts["TensorRT"]["verdict"], facts["TensorRT-RTX"]["verdict"]) == ("no", "ok")


def test_no_adapter() -> None:
    found, facts = told(doctor("--json", TORCHTRT_WS_TENSORRT_LIBRARY="/nowhere/libtorchtrt_ws_tensorrt.so"))
    assert not found["ready"]
    assert facts["adapter"]["found"] == "no /nowhere/libtorchtrt_ws_tensorrt.so"
    assert found["next_step"] == "Correct TORCHTRT_WS_TENSORRT_LIBRARY, or unset it."
    assert {facts[name]["verdict"] for name in ("TensorRT", "TensorRT-RTX", "driver")} == {"unknown"}


def test_an_adapter_without_its_cuda_runtime(tmp_path: Path) -> None:
    """A file that needs a library which is nowhere: the loader's words, and what brings it."""
    (tmp_path / "none.c").write_text("int none;\n")
    (tmp_path / "adapter.c").write_text("extern int none;\nint *there = &none;\n")
    missing, adapter = tmp_path / "libcudart.so.12", tmp_path / "libtorchtrt_ws_tensorrt.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", tmp_path / "none.c", "-Wl,-soname,libcudart.so.12", "-o", missing], check=True
    )
    subprocess.run(["cc", "-shared", "-fPIC", tmp_path / "adapter.c", missing, "-o", adapter], check=True)
    missing.unlink()
    found, facts = told(doctor("--json", TORCHTRT_WS_TENSORRT_LIBRARY=str(adapter)))
    assert "libcudart.so.12" in facts["adapter"]["found"]
    assert found["next_step"].startswith("pip install nvidia-cuda-runtime-cu12, which has libcudart.so.12")


def test_a_machine_with_none_of_it() -> None:
    """No stand-ins and no device that could be seen: what is installed is told, nothing crashes."""
    done = doctor("--json", CUDA_VISIBLE_DEVICES="")
    found, facts = told(done)
    assert not found["ready"] and done.stderr == ""
    assert facts["adapter"]["verdict"] == "ok"
    assert "GPU" in found["next_step"]


def test_a_source_tree_without_compiled_code() -> None:
    code = (
        "import sys\n"
        "sys.modules['torchtrt_ws._native'] = None\n"
        "import torchtrt_ws\n"
        "found = torchtrt_ws.doctor()\n"
        "assert not found.ready\n"
        "print(found.next_step)\n"
        "from torchtrt_ws.cli.main import main\n"
        "main(['doctor'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, timeout=300)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("Install torchtrt-ws with pip")
    assert "native module no" in " ".join(done.stdout.split())


def test_for_people_in_forty_columns(standins: dict[str, str]) -> None:
    done = doctor(**standins, COLUMNS="40")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "programs run on a GPU here" and max(map(len, lines)) <= 40
    assert "8.00 GiB" in done.stdout
    assert lines[-1].endswith("it of one.")


GOOD = [
    Fact(name, OK, "there")
    for name in ("torchtrt-ws", "executorch", "native module", "adapter", "headers", "TensorRT-RTX", "driver", "cuda:0")
]


@pytest.mark.parametrize(
    ("changed", "step"),
    [
        (Fact("executorch", NO, "not installed", "E."), "E."),
        (Fact("native module", NO, "no", "M."), "M."),
        (Fact("adapter", NO, "no", "A."), "A."),
        (Fact("adapter", NO, "libcudart.so.13: cannot open", "A."), "pip install nvidia-cuda-runtime, which has"),
        (Fact("driver", NO, "none found", "D."), "D."),
        (Fact("cuda:0", NO, "lost", "L."), "L."),
        (Fact("TensorRT-RTX", NO, "version 1.4 in libtensorrt_rtx.so.1", "R."), "R."),
    ],
    ids=lambda value: value.name if isinstance(value, Fact) else "",
)
def test_the_first_thing_that_is_missing_is_the_next_step(changed: Fact, step: str) -> None:
    assert Diagnosis(tuple(GOOD)).ready
    facts = [changed if fact.name == changed.name else fact for fact in GOOD]
    found = Diagnosis((*facts, Fact("TensorRT", NO, "nothing", "T.")))
    assert not found.ready and found.next_step.startswith(step)


def test_all_that_is_wrong_one_step() -> None:
    facts = [Fact(fact.name, NO, "no", f"{fact.name}.") for fact in GOOD]
    assert Diagnosis(tuple(facts)).next_step == "executorch."

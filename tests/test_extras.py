"""A package that is not installed is named in the error, with the extra that brings it: one that really does."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from warm_python import python

ROOT = Path(__file__).resolve().parent.parent
LISTS: dict[str, list[str]] = runpy.run_path(str(ROOT / "tools" / "requirements.py"))["lists"]

# For import and for find_spec, as on a machine that never had it.
HIDE = """
import importlib.machinery, importlib.util, sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
for name in [name for name in sys.modules if name.partition(".")[0] == {package!r}]:
    del sys.modules[name]
found = importlib.util.find_spec
def find_spec(name, package=None):
    return None if name.partition(".")[0] == {package!r} else found(name, package)
importlib.util.find_spec = find_spec
"""
SAVE_PLAN = 'torchtrt_ws.save_plan(b"plan", "m.pte", inputs="x:float32:1", outputs="y:float32:1")'
SERVE = 'from torchtrt_ws import serve; serve.app({"models": {"m": {"file": "m.pte"}}})'
KEYGEN = "from torchtrt_ws.cli.main import main; main(['keygen', 'key'])"
ONNX = """
from pathlib import Path
from torchtrt_ws.export.sources.weight_onnx import from_onnx
from_onnx("weights", Path("m.onnx"))
"""
SAFETENSORS = """
from pathlib import Path
from torchtrt_ws.export.sources.weight_arrays import from_safetensors
from_safetensors("weights", Path("m.safetensors"))
"""


@pytest.mark.parametrize(
    ("package", "project", "extra", "code"),
    [
        ("torchao", "executorch", "export", SAVE_PLAN),  # a dependency of executorch's
        ("tabulate", "executorch", "export", SAVE_PLAN),
        ("onnx", "onnx", "rtx", ONNX),
        ("safetensors", "safetensors", "safetensors", SAFETENSORS),
        ("cryptography", "cryptography", "sign", KEYGEN),
        ("ray", "ray", "serve", SERVE),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalnum() else "",
)
def test_the_extra_is_named(tmp_path: Path, package: str, project: str, extra: str, code: str) -> None:
    text = HIDE.format(package=package) + "import torchtrt_ws\n" + code
    done = python("-c", text, cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert package in last or project in last.lower()
    named = re.findall(r"torchtrt-ws\[([a-z,]+)\]", last)
    assert named == [extra], last
    listed = {re.split(r"[^A-Za-z0-9_-]", each)[0] for name in ("run", *named) for each in LISTS[name]}
    assert project in listed


def test_what_pip_reads_has_the_extras_that_messages_name() -> None:
    named = {
        extra
        for path in (ROOT / "torchtrt_ws").rglob("*.py")
        for found in re.findall(r"torchtrt-ws\[([a-z,]+)\]", path.read_text())
        for extra in found.split(",")
    }
    assert named >= {"export", "rtx", "plot", "sign", "metrics", "safetensors", "serve"}
    assert named <= LISTS.keys()

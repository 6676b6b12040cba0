"""What is imported when. How long it takes: benchmarks/host.py."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "executorch", "numpy", "rich", "cryptography", "ray")


def loaded(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import torchtrt_ws", set()),
        ("from torchtrt_ws import budget, blob, pte, planning, cache, dtypes, names", set()),
        ("import torchtrt_ws.trust", set()),
        ("import torchtrt_ws.runtime", {"numpy"}),
        ("import torchtrt_ws.serve", set()),
        ("from torchtrt_ws.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass", set()),
        ("from torchtrt_ws.cli.main import main\ntry: main(['inspect', '--help'])\nexcept SystemExit: pass", set()),
        ("from torchtrt_ws.cli.main import main\ntry: main(['verify', '--help'])\nexcept SystemExit: pass", set()),
    ],
    ids=["package", "core", "trust", "runtime", "serve", "help", "inspect", "verify"],
)
def test_heavy_modules_stay_out(code: str, allowed: set[str]) -> None:
    assert loaded(code) & set(HEAVY) <= allowed

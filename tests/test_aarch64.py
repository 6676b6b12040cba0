"""make aarch64: what it says where something is missing. What it builds is tested by itself, under qemu."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "tools" / "aarch64" / "sdk.sh"


def run(folder: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPT), str(folder), sys.executable]
    return subprocess.run(command, env={**os.environ, "PATH": str(programs)}, text=True, capture_output=True)


def test_a_missing_toolchain_is_named_with_its_packages(tmp_path: Path) -> None:
    for program in ("bash", "dirname", "realpath"):
        found = shutil.which(program)
        assert found is not None
        (tmp_path / program).symlink_to(found)
    done = run(tmp_path / "sdk", tmp_path)
    assert done.returncode == 1 and not (tmp_path / "sdk").exists()
    assert "found no" in done.stderr and "aarch64-linux-gnu-g++" in done.stderr and "qemu-aarch64" in done.stderr
    (install,) = [line for line in done.stderr.splitlines() if "apt-get install" in line]
    assert set(install.split("apt-get install ")[1].split()) == {"g++-aarch64-linux-gnu", "qemu-user"}

    (tmp_path / "qemu-aarch64").symlink_to(shutil.which("true") or "/bin/true")
    done = run(tmp_path / "sdk", tmp_path)
    assert done.returncode == 1 and done.stderr.rstrip().endswith("apt-get install g++-aarch64-linux-gnu")

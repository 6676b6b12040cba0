"""A sample of tests/fuzz/sweep.py, which says what the outcomes mean. make fuzz runs all of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SWEEP = Path(__file__).with_name("sweep.py")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sweep") / "program.pte"
    subprocess.run([sys.executable, str(SWEEP), "--save", str(path)], check=True, timeout=300)
    return path


@pytest.mark.parametrize("reader", ["python", "native"])
@pytest.mark.parametrize("cache", ["fresh", "warm", "off"])
def test_a_changed_byte_is_refused_or_changes_nothing(program: Path, reader: str, cache: str) -> None:
    command = [sys.executable, str(SWEEP), "--program", str(program), "--every", "23", "--reader", reader]
    done = subprocess.run([*command, "--cache", cache], text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout

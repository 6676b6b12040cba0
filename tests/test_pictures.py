"""The pictures of the README show what commands print today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.exports
def test_the_committed_picture_is_what_the_commands_print() -> None:
    command = [sys.executable, str(ROOT / "tools" / "pictures.py"), "--check"]
    done = subprocess.run(command, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr


def test_nothing_is_loaded_from_elsewhere() -> None:
    picture = (ROOT / "docs" / "pictures" / "command_line.svg").read_text()
    assert "url(http" not in picture and "<image" not in picture and "href" not in picture

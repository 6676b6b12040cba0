"""The picture of what stands on what is drawn from the code: it is as new as the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_committed_picture_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "architecture.py", "--check"], text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr

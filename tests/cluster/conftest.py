"""benchmarks/ is no package that is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
pytest.importorskip("simpy", reason="pip install simpy==4.1.2")

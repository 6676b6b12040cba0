"""torchtrt_ws.platforms: Torch-TensorRT's words."""

from __future__ import annotations

import platform
import sys

import pytest

from torchtrt_ws import platforms
from torchtrt_ws.errors import ProgramError


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("linux", "x86_64", "linux_x86_64"),
        ("linux", "aarch64", "linux_aarch64"),
        ("win32", "AMD64", "windows_x86_64"),
        ("win32", "ARM64", "windows_arm64"),
        ("linux", "riscv64", "unknown"),
        ("darwin", "arm64", "unknown"),
    ],
)
def test_this_one(monkeypatch: pytest.MonkeyPatch, system: str, machine: str, name: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert platforms.this_platform() == name
    assert platforms.check_platform(None) == name


def test_the_words_are_those_of_torch_tensorrt() -> None:
    for word in (*platforms.PLATFORMS, "unknown"):
        assert platforms.check_platform(word) == word
    with pytest.raises(ProgramError, match=r'found .win_x86_64.; expected "linux_x86_64", .* or "unknown"'):
        platforms.check_platform("win_x86_64")

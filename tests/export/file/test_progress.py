"""The progress bar: past a second, on stderr, only where a person looks; and it never changes the file."""

from __future__ import annotations

import io
import os
import sys

import pytest

from torchtrt_ws.export.file import progress
from torchtrt_ws.export.file.progress import ProgressFile


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written() -> bytes:
    file = io.BytesIO()
    with ProgressFile(file, 300, "model.pte") as shown:
        for _ in range(3):
            shown.write(b"x" * 100)
        shown.seek(0)
        shown.write(b"head")
        shown.seek(0, os.SEEK_END)
        assert shown.tell() == 300
    return file.getvalue()


@pytest.mark.parametrize(("terminal", "delay", "seen"), [(True, 0.0, True), (True, 60.0, False), (False, 0.0, False)])
def test_bar(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    terminal: bool,
    delay: float,
    seen: bool,
) -> None:
    stderr = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(progress, "DELAY", delay)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("TERM", "xterm")
    assert written() == b"head" + b"x" * 296
    assert ("model.pte" in stderr.getvalue()) == seen
    assert capsys.readouterr().out == ""

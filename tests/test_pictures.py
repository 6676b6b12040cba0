"""The pictures of the README show what commands print today."""

from __future__ import annotations

from pathlib import Path

import pytest
from warm_python import python

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.exports
def test_the_committed_picture_is_what_the_commands_print() -> None:
    done = python(ROOT / "tools" / "pictures.py", "--check", exports=True)
    assert done.returncode == 0, done.stderr


def test_nothing_is_loaded_from_elsewhere() -> None:
    picture = (ROOT / "docs" / "pictures" / "command_line.svg").read_text()
    assert "url(http" not in picture and "<image" not in picture and "href" not in picture

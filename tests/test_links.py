"""What the Markdown files point to is there: files, headings, and the paths they name in passing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SKIPPED = {"build", "dist"}  # made, not kept; likewise what begins with a dot
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part in SKIPPED or part.startswith(".") for part in path.relative_to(ROOT).parts)
)

CODE_BLOCK = re.compile(r"^(?:```[\s\S]*?^```$|(?: {4}.*\n)+)", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\s]+)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# Folders whose files are named by their path from the root. Below torchtrt_ws/ there is also what only an installed
# package has, so a path counts there if it ends as a file or a folder of the sources does.
FOLDERS = r"(?:cpp|tests|tools|docs|benchmarks|examples)/[\w./-]+|torchtrt_ws/[\w./-]+(?:\.py|/)"


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    """The text without its code blocks."""
    return CODE_BLOCK.sub("", path.read_text())


def anchors(path: Path) -> set[str]:
    """What a link may name after `#`: headings, as forges turn them into anchors."""
    return {re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(prose(path))}


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_links(path: Path) -> None:
    for target in LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.exists(), f"{target}: no such file"
        assert found.is_relative_to(ROOT), f"{target}: leads out of the tree"
        assert not anchor or anchor in anchors(found), f"{target}: no such heading"


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_paths_in_passing(path: Path) -> None:
    for name in CODE.findall(prose(path)):
        if re.fullmatch(FOLDERS, name):
            assert (ROOT / name).exists(), f"`{name}`: no such file or folder"

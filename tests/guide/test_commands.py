"""Command lines in the README and the guide are ones that torchtrt-ws takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from torchtrt_ws.cli.main import SUBCOMMANDS, app

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md")))
# In blocks, with what continues them further in; and in passing.
LINE = re.compile(r"^ {4}(torchtrt-ws [^\n]*(?:\n {8}.*)*)|`(torchtrt-ws [^`]+)`", re.MULTILINE)


def lines(page: Path) -> list[str]:
    """Without comments; what may be left out, alternatives and several in one line as they are."""
    found = [block or passing for block, passing in LINE.findall(page.read_text())]
    return [part.strip() for line in found for part in re.sub(r" #.*", "", line).split("; ")]


def spellings(name: str) -> list[set[str]]:
    """Those of each option of a subcommand; of "", the program's."""
    root: Any = typer.main.get_command(app)
    context = root.make_context("torchtrt-ws", [], resilient_parsing=True)
    command = root.get_command(context, name) if name else root
    inner = command.make_context(name, [], parent=context, resilient_parsing=True)
    return [{*each.opts, *each.secondary_opts} for each in command.get_params(inner)]


def flags(line: str) -> set[str]:
    words = shlex.split(re.sub(r"[\[\]|]", " ", line))
    return {word.split("=")[0] for word in words[1:] if re.match(r"--?[a-zA-Z]", word)}


@pytest.mark.parametrize(
    ("page", "line"),
    [pytest.param(page, line, id=f"{page.stem}: {line[:40]}") for page in PAGES for line in lines(page)],
)
def test_its_options_exist(page: Path, line: str) -> None:
    words = shlex.split(re.sub(r"[\[\]|]", " ", line))
    assert words[0] == "torchtrt-ws"
    name = words[1] if len(words) > 1 and not words[1].startswith("-") else ""
    assert name == "" or name in SUBCOMMANDS
    assert flags(line) <= set().union(*spellings(name)), f"{page.name}: {line}"


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_option_is_in_the_guide(name: str) -> None:
    (line,) = (each for each in lines(ROOT / "docs" / "guide" / "command-line.md") if each.split()[1] == name)
    own = [each for each in spellings(name) if any(word.startswith("-") for word in each) and "--help" not in each]
    assert [each for each in own if not each & flags(line)] == []

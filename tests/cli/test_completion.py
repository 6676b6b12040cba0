"""Shell completion: what a shell asks, through its own protocol, and the answer in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from warm_python import python

from torchtrt_ws.cli.main import SUBCOMMANDS


def completed(line: str) -> list[str]:
    """What `line` may go on with."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "_TORCHTRT_WS_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = python("-m", "torchtrt_ws", env=environment, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_subcommands() -> None:
    assert completed("torchtrt-ws ") == list(SUBCOMMANDS)
    assert completed("torchtrt-ws set") == ["set-budget"]
    assert "--version" in completed("torchtrt-ws --")


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_options_of_each(subcommand: str) -> None:
    found = completed(f"torchtrt-ws {subcommand} --")
    assert "--help" in found and all(word.startswith("--") for word in found)


def test_options_behind_a_file() -> None:
    assert completed("torchtrt-ws plan model.pte --ba") == ["--bandwidth", "--batch", "--bake"]


@pytest.mark.parametrize("line", ["torchtrt-ws inspect mo", "torchtrt-ws run model.pte --input x", "torchtrt-ws sign "])
def test_files_are_left_to_the_shell(line: str) -> None:
    assert completed(line) == []


def test_in_bash(tmp_path: Path) -> None:
    """The script that --show-completion prints, which `-o default` makes fall back to files."""
    command = Path(sys.executable).with_name("torchtrt-ws")
    bash = shutil.which("bash")
    assert command.exists() and bash is not None
    script = r"""
eval "$(torchtrt-ws --show-completion bash)"
registered=$(complete -p torchtrt-ws)
function=$(sed 's/.*-F \([^ ]*\).*/\1/' <<< "$registered")
ask() {
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
  $function torchtrt-ws
  echo "${#COMPREPLY[@]}: ${COMPREPLY[*]}"
}
ask torchtrt-ws ins
ask torchtrt-ws run --spl
ask torchtrt-ws run model
echo "$registered"
"""
    environment = {**os.environ, "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([bash, "--norc", "-c", script], capture_output=True, text=True, env=environment, timeout=60)
    answers = done.stdout.splitlines()
    assert answers[:3] == ["1: inspect", "1: --split", "0: "], done.stderr
    assert "-o default" in answers[3]

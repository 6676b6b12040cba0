"""Draws docs/pictures/command_line.svg: what commands print in a terminal, on a small program that it saves.

    python tools/pictures.py [--check]

`--check` draws nothing, and fails if the words in the picture are not what the commands print today.
"""

from __future__ import annotations

import argparse
import html
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "pictures" / "command_line.svg"
COLUMNS = 86
COMMANDS = (
    "plan model.pte --memory 84MiB --bandwidth 10GB/s --bake",
    "set-budget model.pte 75%",
)
# Nothing is loaded from elsewhere, as on the site; lines keep their width whatever the font.
FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def save(path: Path) -> None:
    """The program that the commands are about."""
    import torch

    import torchtrt_ws

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(1024, 4096), torch.nn.ReLU(), torch.nn.Linear(4096, 1024))
    torchtrt_ws.save(model, path, arg_inputs=(torch.randn(8, 1024),), weight_streaming_budget="50%")


def run(folder: Path, *command: str) -> str:
    """What a command prints on stdout, with colours."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, text=True, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def printed() -> Text:
    """The prompt, each command, and what it prints."""
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "model.pte")
        for command in COMMANDS:
            parts.append(Text.assemble(("$ ", "bold green"), (f"torchtrt-ws {command}", "bold")))
            parts.append(Text.from_ansi(run(Path(folder), "-m", "torchtrt_ws", *shlex.split(command))))
    return Text("\n").join(parts)


def drawn(text: Text) -> str:
    """The picture."""
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, file=nowhere, width=COLUMNS, force_terminal=True, color_system="truecolor")
        console.print(text)
        svg = console.export_svg(title="torchtrt-ws", unique_id="command-line")
    return FONT_FACE.sub("", svg)


def words(svg: str) -> list[str]:
    """The words in a picture: versions of rich draw them in other ways."""
    return " ".join(html.unescape(each) for each in re.findall(r"<text[^>]*>([^<]*)</text>", svg)).split()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    picture = drawn(printed())
    if not check:
        PICTURE.write_text(picture)
        return 0
    if words(picture) == words(PICTURE.read_text()):
        return 0
    print(f"{PICTURE} is not what the commands print: run python tools/pictures.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

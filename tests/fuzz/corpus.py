"""Writes seed inputs of the fuzz targets, from what the tests have: nothing of it is kept in the tree.

python tests/fuzz/corpus.py FOLDER      FOLDER/metadata, FOLDER/decimal, FOLDER/budget
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from torchtrt_ws import blob
from torchtrt_ws.errors import BlobError

TESTS = Path(__file__).resolve().parent.parent


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def budget_input(row: dict[str, Any]) -> bytes:
    """A row of tests/budget/resolve_cases.json, as tests/fuzz/budget.cpp reads it."""
    lines: list[tuple[str, ...]] = [("n", row.get("engine", "forward"))]
    for key, value in row.get("options", ()):
        letter = "b" if isinstance(value, bool) else "i" if isinstance(value, int) else "t"
        lines.append((letter, key, str(int(value)) if letter == "b" else str(value)))
    lines += [("s", key, value) for key, value in row.get("baked", ())]
    facts = row["facts"]
    lines.append(("f", str(facts["streamable"]), str(facts["scratch"])))
    if "automatic" in facts:
        lines.append(("a", str(facts["automatic"])))
    if shares := facts.get("shares"):
        lines.append(("h", *(_text(shares[key]) for key in ("engines", "engine_streamable", "program_streamable"))))
    return "\n".join("\t".join(line) for line in lines).encode()


def inputs() -> dict[str, list[bytes]]:
    """The seeds of each target that has no folder of files of its own."""
    metadata = []
    for path in sorted(TESTS.glob("blob/*/*.bin")):
        contents = path.read_bytes()
        try:
            header = blob.read_header(contents)
        except BlobError:
            continue
        metadata.append(contents[header.metadata_offset :][: header.metadata_size])
    decimals = json.loads((TESTS / "budget" / "decimal_cases.json").read_text())
    cases = json.loads((TESTS / "budget" / "resolve_cases.json").read_text())
    return {
        "metadata": metadata,
        "decimal": [decimal_input(row) for row in decimals],
        "budget": [budget_input(row) for row in cases],
    }


def decimal_input(row: dict[str, Any]) -> bytes:
    """A row of tests/budget/decimal_cases.json."""
    return bytes.fromhex(row["hex"]) if "hex" in row else row["text"].encode()


def main(folder: Path) -> None:
    for target, seeds in inputs().items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (folder / target / f"{number:03}").write_bytes(seed)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

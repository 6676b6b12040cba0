"""Writes seed inputs of the fuzz targets, from what the tests have: nothing of it is kept in the tree.

python tests/fuzz/corpus.py FOLDER      FOLDER/metadata, FOLDER/decimal, FOLDER/budget, FOLDER/program
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import flatbuffers

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
        "program": [program(in_segment=False), program(in_segment=True)],
    }


def program(in_segment: bool) -> bytes:
    """A .pte with one method and one delegate, as far as its delegates are read: schema/program.fbs."""
    builder = flatbuffers.Builder(0)

    def table(*slots: int | None) -> int:
        builder.StartObject(len(slots))
        for slot, offset in enumerate(slots):
            if offset is not None:
                builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        return int(builder.EndObject())

    def vector(item: int) -> int:
        builder.StartVector(4, 1, 4)
        builder.PrependUOffsetTRelative(item)
        return int(builder.EndVector())

    payload = b"TR01 and more"
    data = vector(table(builder.CreateByteVector(payload)))
    specs = vector(table(builder.CreateString("weight_streaming_budget"), builder.CreateByteVector(b"1000")))
    backend, method = builder.CreateString("TensorRTBackend"), builder.CreateString("forward")
    builder.StartObject(2)  # BackendDelegateDataReference: location, index
    builder.PrependInt8Slot(0, int(in_segment), 0)
    reference = builder.EndObject()
    delegates = vector(table(backend, reference, specs))
    plans = vector(table(method, None, None, None, None, None, None, delegates))
    builder.StartObject(2)  # DataSegment: offset, size
    builder.PrependUint64Slot(1, len(payload), 0)
    segments = vector(builder.EndObject())
    builder.Finish(table(None, plans, None, data, segments), file_identifier=b"ET12")
    plain = bytes(builder.Output())
    if not in_segment:
        return plain
    header = 32  # the extended header goes between the identifier and the rest, whose offsets are relative
    root = int.from_bytes(plain[:4], "little") + header
    size = len(plain) + header
    extended = struct.pack("<4sIQQQ", b"eh00", header, size, size, len(payload))
    return root.to_bytes(4, "little") + plain[4:8] + extended + plain[8:] + payload


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

"""torchtrt_ws.pte.read() on any bytes, under atheris: engines that lie in the file, or a ProgramError."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
with atheris.instrument_imports(include=["torchtrt_ws", "json"]):
    from torchtrt_ws import pte
    from torchtrt_ws.errors import ProgramError

FOLDER = tempfile.TemporaryDirectory()
PATH = Path(FOLDER.name) / "fuzzed.pte"


def one_input(data: bytes) -> None:
    PATH.unlink(missing_ok=True)  # an earlier input may still be mapped
    PATH.write_bytes(data)
    try:
        found = pte.read(PATH)
    except ProgramError as error:
        assert str(error).startswith(str(PATH)), "an error names the file"
        return
    for engine in found.engines:
        assert 0 <= engine.payload_offset <= engine.engine_offset
        assert engine.engine_offset + engine.engine_bytes <= len(data)
    found.as_dict()


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()

"""What the first bytes of a plan say. Pure."""

from __future__ import annotations

import struct

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.identifiers import RTX_MAGIC, is_program

__all__ = ["HEADER_SIZE", "builder_of", "check_plan", "compute_capabilities_of", "runtime_of"]

_TENSORRT_MAGIC = b"ftrt"  # seen, TensorRT 8 to 10; not documented, so that its absence says nothing
_SAFETENSORS_HEADER_LIMIT = 100_000_000  # bytes of its JSON, which a u64 before it tells (safetensors' README)
_RTX_HEADER = struct.Struct("<4s12xQ4B")  # u64 size of the plan at 16, version at 24 (seen, 1.4 to 1.7)
# Behind it a second magic and a mask of the GPUs that it was built for (seen, 1.6.1, one bit for each that its
# ComputeCapability names, in that order; bit 6 besides where none was asked for).
_RTX_TARGETS = struct.Struct("<28x4sI")
_RTX_CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
_RUNTIMES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx", "tensorrt_rtx": "tensorrt_rtx"}
HEADER_SIZE = 36  # bytes of a plan that the functions here look at


def builder_of(head: bytes) -> str | None:
    """What built a plan, as far as its first bytes tell.

    Args:
        head: The first `HEADER_SIZE` bytes, or all if there are fewer.

    Returns:
        "tensorrt-rtx" with its version; "tensorrt", whose header is not documented; None for anything else.
    """
    if head.startswith(_TENSORRT_MAGIC):
        return "tensorrt"
    if not head.startswith(RTX_MAGIC) or len(head) < _RTX_HEADER.size:
        return None
    _, _, *version = _RTX_HEADER.unpack_from(head)
    return "tensorrt-rtx " + ".".join(map(str, version))


def compute_capabilities_of(head: bytes) -> tuple[str, ...]:
    """Which GPUs a plan was built for, as far as its first bytes tell.

    Args:
        head: The first `HEADER_SIZE` bytes, or all if there are fewer.

    Returns:
        Such as ("8.9",); none where the plan is not bound to some, or does not tell.
    """
    if not head.startswith(RTX_MAGIC) or len(head) < _RTX_TARGETS.size:
        return ()
    magic, mask = _RTX_TARGETS.unpack_from(head)
    if magic != RTX_MAGIC or mask >> len(_RTX_CAPABILITIES):
        return ()
    return tuple(each for bit, each in enumerate(_RTX_CAPABILITIES) if mask >> bit & 1)


def runtime_of(head: bytes, builder: str) -> str:
    """Which library reads a plan, in the words of `torchtrt_ws.blob.Variant.runtime`.

    Args:
        head: The first `HEADER_SIZE` bytes, or all if there are fewer.
        builder: What is recorded of its builder, such as "tensorrt 11.1.0.5".

    Returns:
        "tensorrt_rtx 1.6.1", or "" where neither tells a version.
    """
    name, _, version = (builder_of(head) or builder).partition(" ")
    if not version:  # a plan of TensorRT, whose header does not tell it
        name, _, version = builder.partition(" ")
    numbers = version.split(".")[:3]
    known = name in _RUNTIMES and len(numbers) == 3 and all(each.isdecimal() for each in numbers)
    return f"{_RUNTIMES[name]} {'.'.join(numbers)}" if known else ""


def check_plan(subject: str, head: bytes, size: int) -> str:
    """Refuses what cannot be a plan.

    Args:
        subject: What an error names.
        head: The first `HEADER_SIZE` bytes, or all if there are fewer.
        size: Bytes of the plan.

    Returns:
        What built it, with its version where the plan says it.

    Raises:
        ProgramError: Nothing, text, a file of another known kind, an ExecuTorch program, or a TensorRT-RTX plan that is
            truncated.
    """
    if size == 0:
        raise ProgramError(subject, "0 bytes", "a TensorRT plan", "Give the plan's path or bytes.")
    if other := _other_kind(head):
        raise ProgramError(subject, other, "a TensorRT plan", "Give the plan, not the model or a file about it.")
    if is_program(head):
        raise ProgramError(subject, "an ExecuTorch program", "a TensorRT plan", "Give the plan it was made from.")
    if not head.startswith(RTX_MAGIC):
        return "tensorrt"  # its header is not documented
    builder = builder_of(head)
    declared = size + 1 if builder is None else _RTX_HEADER.unpack_from(head)[1]
    if builder is None or declared > size:
        found = f"{size} bytes of a TensorRT-RTX plan"
        expected = "at least its header" if builder is None else f"the {declared} bytes that its header says"
        raise ProgramError(subject, found, expected, "The plan is truncated: copy or build it again.")
    return builder


# What else people have beside their plans, by its first bytes. TensorRT documents no magic of its own.
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive, such as a .pt2 or a checkpoint",
    b"\x89PNG": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"%PDF": "a PDF file",
    b"\x7fELF": "a program or library (ELF)",
    b"\x1f\x8b": "a gzip archive",
    b"\x93NUMPY": "a numpy array",
    b"GGUF": "a GGUF model",
    b"TR01": "an engine blob, as a .pte holds it",
    b"TR02": "an engine blob, as a .pte holds it",
    b"TR03": "an engine blob, as a .pte holds it",
}


def _other_kind(head: bytes) -> str | None:
    """What the file is, if it is surely no plan."""
    if not head or head.startswith((RTX_MAGIC, _TENSORRT_MAGIC)):  # none: its bytes are not there yet
        return None
    for magic, kind in _OTHER_KINDS.items():
        if head.startswith(magic):
            return kind
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < _SAFETENSORS_HEADER_LIMIT:
        return "a safetensors file"
    text = head.decode("utf-8", "ignore")  # the cut after 32 bytes may split a character
    if len(text.encode()) > len(head) - 4 and all(each.isprintable() or each in "\n\r\t" for each in text):
        return f"text that starts with {text[:20]!r}"
    return None

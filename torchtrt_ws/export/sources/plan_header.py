"""What the first bytes of a plan say. Pure."""

from __future__ import annotations

import struct

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.identifiers import RTX_MAGIC, is_program

__all__ = ["check_plan"]

_RTX_HEADER = struct.Struct("<4s12xQ4B")  # u64 size of the plan at 16, version at 24 (seen, 1.4 to 1.7)


def check_plan(subject: str, head: bytes, size: int) -> str:
    """Refuses what cannot be a plan.

    Args:
        subject: What an error names.
        head: The first 32 bytes, or all if there are fewer.
        size: Bytes of the plan.

    Returns:
        What built it, with its version where the plan says it.

    Raises:
        ProgramError: Nothing, an ExecuTorch program, or a TensorRT-RTX plan that is truncated.
    """
    if size == 0:
        raise ProgramError(subject, "0 bytes", "a TensorRT plan", "Give the plan's path or bytes.")
    if is_program(head):
        raise ProgramError(subject, "an ExecuTorch program", "a TensorRT plan", "Give the plan it was made from.")
    if not head.startswith(RTX_MAGIC):
        return "tensorrt"  # its header is not documented
    declared, *version = _RTX_HEADER.unpack_from(head)[1:] if len(head) >= _RTX_HEADER.size else (size + 1,)
    if declared > size:
        found = f"{size} bytes of a TensorRT-RTX plan"
        expected = f"the {declared} bytes that its header says" if version else "at least its header"
        raise ProgramError(subject, found, expected, "The plan is truncated: copy or build it again.")
    return "tensorrt-rtx " + ".".join(map(str, version))

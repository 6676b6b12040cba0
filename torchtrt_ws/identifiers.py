"""What files and processes agree on by name or by first bytes, each in one place. Pure."""

from __future__ import annotations

__all__ = [
    "BACKEND_ID",
    "DATA_FILE_SUFFIX",
    "DEFAULT_METHOD",
    "HOST",
    "PROGRAM_MAGIC",
    "PROGRAM_MAGIC_OFFSET",
    "RTX_MAGIC",
    "SIGNATURE_SUFFIX",
    "TARGET_DEVICE_KEY",
    "TENSORRT",
    "is_program",
]

BACKEND_ID = "TensorRTBackend"  # of the delegate, as Torch-TensorRT writes it into a program
DEFAULT_METHOD = "forward"
TARGET_DEVICE_KEY = "target_device"  # a compile spec: executorch/exir/passes/propagate_device_pass.py
SIGNATURE_SUFFIX = ".sig"  # of the signature beside a file
DATA_FILE_SUFFIX = ".ptd"  # of ExecuTorch's data files; "model.ptd" beside "model.pte" has its weights

# Kinds of engine: the adapters that run them.
HOST = "host"
TENSORRT = "tensorrt"

PROGRAM_MAGIC = b"ET12"  # of an ExecuTorch program (schema/program.fbs); also of a host engine, which is one
PROGRAM_MAGIC_OFFSET = 4  # bytes: behind the offset of a flatbuffer's root table
RTX_MAGIC = b"vtrt"  # of a TensorRT-RTX plan (seen, 1.4 to 1.7); TensorRT's plans have none that is documented


def is_program(head: bytes | memoryview) -> bool:
    """True if something starts as an ExecuTorch program does.

    Args:
        head: Its first 8 bytes, or more.
    """
    return bytes(head[PROGRAM_MAGIC_OFFSET : PROGRAM_MAGIC_OFFSET + len(PROGRAM_MAGIC)]) == PROGRAM_MAGIC

"""The platforms that engines are built for, in the words that Torch-TensorRT records. Pure.

Source:
    Torch-TensorRT 2.14, core/runtime/Platform.cpp.
"""

from __future__ import annotations

import platform
import sys

from torchtrt_ws.errors import ProgramError

__all__ = ["PLATFORMS", "UNKNOWN", "check_platform", "this_platform"]

UNKNOWN = "unknown"
PLATFORMS = ("linux_x86_64", "linux_aarch64", "windows_x86_64", "windows_arm64")


def this_platform() -> str:
    """The platform of this process; "unknown" for one that Torch-TensorRT has no name for."""
    system = {"linux": "linux", "win32": "windows"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    processor = "x86_64" if machine in ("x86_64", "amd64") else machine
    name = f"{system}_{'arm64' if (system, processor) == ('windows', 'aarch64') else processor}"
    return name if name in PLATFORMS else UNKNOWN


def check_platform(given: str | None) -> str:
    """Reads the keyword `target_platform`.

    Args:
        given: One of `PLATFORMS`, or "unknown"; None: this one.

    Returns:
        What is recorded.

    Raises:
        ProgramError: Another word.
    """
    if given is None:
        return this_platform()
    if given not in (*PLATFORMS, UNKNOWN):
        accepted = ", ".join(f'"{each}"' for each in PLATFORMS) + f' or "{UNKNOWN}"'
        raise ProgramError("target_platform", repr(given), accepted, "Leave it out for this machine's.")
    return given

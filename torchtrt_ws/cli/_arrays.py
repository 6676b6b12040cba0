"""Tensors as files, on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from torchtrt_ws.errors import ProgramError

__all__ = ["read_array"]


def read_array(path: Path) -> Any:
    """Reads a .npy file.

    Args:
        path: The file.

    Raises:
        ProgramError: None that numpy reads without unpickling.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        found = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise _refused(path, found) from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise _refused(path, "several arrays (.npz)")
    return array


def _refused(path: Path, found: str) -> ProgramError:
    return ProgramError(str(path), found, "a .npy file", "Write it with numpy.save(path, array).")

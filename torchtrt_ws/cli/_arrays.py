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
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ProgramError(str(path), str(error), "a .npy file", "Write it with numpy.save(path, array).") from None

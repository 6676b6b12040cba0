"""The keywords `weights` and `weights_path` of a save: whether weights go into a file of their own, and which."""

from __future__ import annotations

import os
from pathlib import Path

from torchtrt_ws.atomic import check_target
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.file.write_program import companion_path

__all__ = ["SEPARATE", "read_weights_keyword", "separate_target"]

SEPARATE = "separate"


def read_weights_keyword(weights: object, weights_path: object, engine: str | None) -> bool:
    """Reads the keywords.

    Args:
        weights: As `torchtrt_ws.save` takes it.
        weights_path: Likewise.
        engine: Which kind of engine is built, or whose engines are saved.

    Returns:
        True if the weights go into a file of their own.

    Raises:
        ProgramError: Another word, a path without "separate", or engines that cannot be without their weights.
    """
    if weights is None:
        if weights_path is not None:
            raise ProgramError(
                "weights_path", repr(weights_path), 'weights="separate" beside it', "Give both, or neither."
            )
        return False
    if weights != SEPARATE:
        raise ProgramError("weights", repr(weights), f"{SEPARATE!r} or None", "Leave it out to save whole engines.")
    if engine == "of Torch-TensorRT":
        raise ProgramError(
            "weights",
            f"{weights!r} for engines of Torch-TensorRT",
            "engines that are built here, or plans that were built without weights",
            "Leave it out; or build the plan with STRIP_PLAN and save it with torchtrt_ws.save_plan(weights=...).",
        )
    return True


def separate_target(target: Path, weights_path: str | os.PathLike[str] | None) -> Path:
    """Where the weights go.

    Args:
        target: The program, from `check_target`.
        weights_path: As `torchtrt_ws.save` takes it.

    Raises:
        ProgramError: As `check_target`; or the program itself.
    """
    found = check_target(companion_path(target) if weights_path is None else weights_path)
    if found == target:
        raise ProgramError(str(target), "one path for the program and its weights", "two", "Give another weights_path.")
    return found

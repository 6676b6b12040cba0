"""The files of `torchtrt-ws run`: inputs that fit the method, and where outputs go. All checked before the load."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np

from torchtrt_ws.atomic import check_target, write_atomically
from torchtrt_ws.cli._arrays import read_array
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.pte import MethodInfo
from torchtrt_ws.runtime.inputs import host_item, numpy_dtype
from torchtrt_ws.runtime.signature import Signature, TensorSpec, tensor_specs

__all__ = ["check_folder", "read_inputs", "write_outputs"]


def read_inputs(paths: Sequence[Path], method: MethodInfo) -> list[Any]:
    """Reads the inputs of a method.

    Args:
        paths: .npy files, in the order of the inputs. None at all are no inputs, whatever the method takes.
        method: What is to be run.

    Returns:
        An array for each, with the dtypes of the method: numpy's files have no bfloat16 and float8, and plain bytes of
        that size, as `write_outputs` writes them, stand for these.

    Raises:
        ProgramError: A file that cannot be read; another number of them, dtype or shape than the method takes.
    """
    if not paths:
        return []
    specs = tensor_specs(method.inputs, "input", None)
    arrays = [read_array(path) for path in paths]
    Signature(method.name, specs, ()).bind(arrays, {})
    return [_fitting(*each) for each in zip(paths, arrays, specs, strict=True)]


def _fitting(path: Path, array: Any, spec: TensorSpec) -> Any:
    wanted = numpy_dtype(spec.dtype) if array.dtype.kind == "V" and spec.is_tensor else None
    typed = array.view(wanted) if wanted is not None and wanted.itemsize == array.itemsize else array
    host_item(f"{path} for input {spec.name!r}", typed, spec)
    return typed


def check_folder(folder: Path) -> None:
    """Refuses a folder that outputs cannot be written to. One that is not there yet is not made.

    Args:
        folder: Where they are to go.

    Raises:
        ProgramError: No folder, or one that this process may not write to.
    """
    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        found, next_step = f"{str(there)!r}, which is no folder", "Give another one."
    elif not os.access(there, os.W_OK | os.X_OK):
        found, next_step = f"{str(there)!r}, which this process may not write to", "Give another one, or its rights."
    else:
        return
    raise ProgramError(str(folder), found, "a folder for the outputs", next_step)


def write_outputs(folder: Path, outputs: Sequence[Any]) -> None:
    """Writes output0.npy and so on.

    Args:
        folder: Where to; it is made.
        outputs: What the method gave; bfloat16 and float8 become bytes of their size.

    Raises:
        ProgramError: One cannot be written. Those before it are there; of it, what was there before.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProgramError(str(folder), error.strerror or str(error), "a folder for the outputs", "Mend it.") from None
    for position, value in enumerate(outputs):
        array = np.asarray(value)
        if array.dtype.isbuiltin == 2:  # of ml_dtypes: a .npy with their names is none that numpy reads
            array = array.view(f"V{array.itemsize}")
        write_atomically(check_target(folder / f"output{position}.npy"), partial(_write, array))


def _write(array: np.ndarray[Any, Any], file: BinaryIO) -> None:
    # Not a file to numpy, which would say of a full disk how many elements it did not write, and no more.
    np.save(SimpleNamespace(write=file.write), array)

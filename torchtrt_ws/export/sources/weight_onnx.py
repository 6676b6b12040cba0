"""Weights from an ONNX model: its initializers, in the model or in files beside it.

A model says in which file its data are, and where. Such a file must lie in the model's folder, or below, with no
symbolic link on the way and no other name (hard link): a model from somewhere else could otherwise have any file of
this machine put into a program.

Source:
    onnx.proto3, TensorProto.external_data; CVE-2026-34446 and CVE-2026-34447, which are readers without these checks.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from torchtrt_ws.blob import fits
from torchtrt_ws.dtypes import TABLE
from torchtrt_ws.errors import EngineError, ProgramError
from torchtrt_ws.export.engine.payload import BufferPayload, SlicePayload
from torchtrt_ws.export.engine.weight import Weight
from torchtrt_ws.export.sources.weight_arrays import from_arrays

__all__ = ["from_onnx"]

_SIZES = {dtype.name: dtype.nbytes for dtype in TABLE}


def from_onnx(
    subject: str, path: str | os.PathLike[str], elsewhere: Mapping[str, Any] | None = None
) -> dict[str, Weight]:
    """Reads the initializers of a model as weights. What is in other files stays there until the program is saved.

    Args:
        subject: What an error names.
        path: The model.
        elsewhere: Arrays by initializer, as for `from_arrays`: those of the model are not looked for.

    Returns:
        Name to weight. Initializers without a name, without elements or of a dtype that no engine has are not in it.

    Raises:
        ProgramError: No model, a data file that leaves the folder or is a link, or data that the file does not have.
        EngineError: The package `onnx` is not installed.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    except ImportError as error:
        next_step = "pip install torchtrt-ws[rtx]."
        raise EngineError(subject, f"no module {error.name!r}", "onnx, to read the weights", next_step) from None
    name = os.fspath(path)
    try:
        model = onnx.load(name, load_external_data=False)
    except (OSError, DecodeError) as error:
        raise ProgramError(name, str(error), "an ONNX model", "Check the path.") from None
    given = from_arrays(subject, elsewhere or {})
    others = [each for each in model.graph.initializer if each.name not in given]
    return {**given, **{weight.name: weight for weight in _weights(Path(name), others)}}


def _weights(model: Path, initializers: Any) -> Iterator[Weight]:
    import onnx

    files: dict[str, BinaryIO] = {}  # each is opened once: descriptors are few
    for tensor in initializers:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).name
        count = math.prod(tensor.dims)
        if not tensor.name or count == 0 or dtype not in _SIZES:
            continue
        subject = f"{model}: initializer {tensor.name!r}"
        size = count * _SIZES[dtype]
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield Weight(tensor.name, dtype, count, _external(subject, model.parent, tensor, size, files))
            continue
        data = onnx.numpy_helper.to_array(tensor).tobytes()
        if len(data) != size:
            raise ProgramError(subject, f"{len(data)} bytes", f"{size}, for {list(tensor.dims)} of {dtype}")
        yield Weight(tensor.name, dtype, count, BufferPayload(data))


def _external(subject: str, folder: Path, tensor: Any, size: int, files: dict[str, BinaryIO]) -> SlicePayload:
    facts = {entry.key: entry.value for entry in tensor.external_data}
    location = facts.get("location", "")
    offset, length = _number(subject, facts, "offset", 0), _number(subject, facts, "length", size)
    if length != size:
        raise ProgramError(subject, f"{length} bytes in {location!r}", f"{size}", "The model is damaged.")
    if location not in files:
        files[location] = _opened(subject, folder, location)
    file = files[location]
    if not fits(offset, size, there := os.fstat(file.fileno()).st_size):
        found = f"{size} bytes at {offset} of {location!r}, which has {there}"
        raise ProgramError(subject, found, "data within the file", "The file is truncated, or another one.")
    return SlicePayload(str(folder / location), file, offset, size)


def _opened(subject: str, folder: Path, location: str) -> BinaryIO:
    file = open(_open_below(subject, folder, location), "rb", buffering=0)  # noqa: SIM115  # payloads keep it
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return file
    file.close()
    found = "a file with another name, a hard link" if stat.S_ISREG(status.st_mode) else "no regular file"
    raise _refused(subject, location, found)


def _open_below(subject: str, folder: Path, location: str) -> int:
    """Opens the file step by step from the model's folder, so that nobody can put a link there meanwhile."""
    path = PurePosixPath(location)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in location or "\0" in location:
        raise _refused(subject, location, "a path that leaves the folder of the model")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in path.parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        return os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=descriptor)
    except OSError as error:
        found = f"{error.strerror}: a symbolic link, or no file"
        raise _refused(subject, location, found[0].lower() + found[1:]) from None
    finally:
        os.close(descriptor)


def _number(subject: str, facts: dict[str, str], key: str, default: int) -> int:
    text = facts.get(key)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise ProgramError(f"{subject}, {key}", repr(text), "a number of bytes", "The model is damaged.")
    return int(text)


def _refused(subject: str, location: str, found: str) -> ProgramError:
    return ProgramError(
        f"{subject}, data in {location!r}",
        found,
        "a file of its own in the folder of the model",
        "Copy the data there under that name, if you trust the model.",
    )

"""The file with the weights of engines that are stored without them: an ExecuTorch data file, each weight once.

A weight's key is made of its content, so a file of another export has other keys: an engine finds its own weights or
none.

Source:
    ExecuTorch 1.5.1, extension/flat_tensor/serialize/serialize.py and flat_tensor.fbs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from executorch.exir._serialize._cord import Cord, FileBackedData
from executorch.exir._serialize.data_serializer import DataEntry, DataPayload
from executorch.extension.flat_tensor.serialize.serialize import FlatTensorSerializer

from torchtrt_ws.export.engine.weight import Weight, by_key

if TYPE_CHECKING:
    from torchtrt_ws.export.engine.built_engine import SeekableFile

__all__ = ["LaidOutWeights", "lay_out_weights"]

ALIGNMENT = 128  # bytes, of each weight in the file; mapped, they are aligned for any dtype and for vector loads


class LaidOutWeights:
    """A .ptd that is ready to be written. `size` is in bytes."""

    def __init__(self, cord: Cord) -> None:
        self._cord = cord
        self.size = len(cord)

    def write_to(self, file: SeekableFile) -> None:
        """Writes the file from its start; weights stream from where they are."""
        self._cord.write_to_file(file)


def lay_out_weights(weights: Iterable[Weight]) -> LaidOutWeights:
    """Lays a companion file out.

    Args:
        weights: Of all engines, at least one. Equal ones are stored once.

    Returns:
        The file. Only its index is in memory.
    """
    stored = by_key(weights)
    entries = {key: DataEntry(index, ALIGNMENT, None) for index, key in enumerate(stored)}
    streamed = [_StreamedWeight(each) for each in stored.values()]
    return LaidOutWeights(FlatTensorSerializer().serialize(DataPayload(streamed, entries)))


class _StreamedWeight(FileBackedData):  # type: ignore[misc]  # executorch has no types
    """A weight where it is. `Cord` takes it as any `FileBackedData`."""

    def __init__(self, weight: Weight) -> None:
        self._payload = weight.payload  # deliberately no super().__init__(): there is no file

    def __len__(self) -> int:
        return self._payload.size

    def write_to_file(self, outfile: SeekableFile) -> None:
        self._payload.write_to(outfile)

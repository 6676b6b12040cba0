"""An engine to be saved, wherever it comes from. Pure: no torch, no executorch.

A source of engines is one module in `sources/` with one function: it takes a method's `ExportedProgram` and gives the
engine, or the same method with each engine as one call (`graph/engine_call.py`). What follows is the same for all
sources: budgets, blobs, partitioning and the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torchtrt_ws.blob import Alias, OptimizationProfile, StateTensor, StreamingFacts, TensorFacts, Variant
from torchtrt_ws.budget import EngineSize

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from torchtrt_ws.blob import Buffer
    from torchtrt_ws.digests import Digests
    from torchtrt_ws.export.engine.weight import Weight

__all__ = ["BuiltEngine", "LoweredMethod", "Payload", "SeekableFile", "Writable"]


class Writable(Protocol):
    """The part of a binary file that writing needs."""

    def write(self, data: Buffer, /) -> int:
        """Writes `data` and returns its size in bytes."""


class SeekableFile(Writable, Protocol):
    """The part of a binary file that writing a program needs."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Moves to `offset` bytes, counted as `whence` says (`os.SEEK_SET`, ...), and returns the new position."""

    def tell(self) -> int:
        """The position, in bytes."""


class Payload(Protocol):
    """An engine's bytes, left where they are until the file is written."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def sample(self) -> bytes:
        """A few of its bytes, of set places: payloads of one size are told apart by it, or need their digests."""

    @property
    def digests(self) -> Digests:
        """Of all its bytes. Reads the whole engine if nothing has yet; known after `write_to`."""

    def write_to(self, file: Writable) -> None:
        """Writes all bytes to `file`, without joining them first. May be called again, with the same result."""


@dataclass(frozen=True)
class BuiltEngine:
    """One engine that is built, on its way into a program.

    Args:
        name: Unique in the program; see `torchtrt_ws.names`.
        kind: The adapter that runs it: "host" or "tensorrt".
        builder: What built it, with its version.
        payload: The engine's bytes.
        inputs: What it takes, in the order of the engine call's arguments.
        outputs: What it gives, in order.
        streamable_bytes: Bytes of weights that can be streamed; None if not known.
        streamable_estimated: True if `streamable_bytes` is an estimate.
        aliases: Outputs that are inputs updated in place (TR02).
        hardware_compatible: As Torch-TensorRT writes it.
        device_id: The device the engine was built for.
        serialized_metadata: Torch-TensorRT's, kept as it is.
        target_platform: As Torch-TensorRT writes it.
        optimization_profiles: The plan's, each with all of `inputs` in their order; none where they are not known.
        nested_method: Which method of a payload that is a program runs; None: "forward".
        keeps_state: Whether a call changes buffers that the next one sees.
        state: These buffers, where the engine takes and gives them besides `inputs` and `outputs`.
        streaming: What the export did for streaming; None where that is not its source's to say.
        weights: Those that `payload` is without; none where it has its own.
        compute_capabilities: The GPUs that a plan was built for, such as "8.9"; none where it is not known to be bound.
        variants: The plans in `payload`, where there are several.
    """

    name: str
    kind: str
    builder: str
    payload: Payload
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    streamable_bytes: int | None = None
    streamable_estimated: bool = False
    aliases: tuple[Alias, ...] = ()
    hardware_compatible: bool = False
    device_id: int = 0
    serialized_metadata: str = ""
    target_platform: str = ""
    optimization_profiles: tuple[OptimizationProfile, ...] = ()
    nested_method: str | None = None
    keeps_state: bool = False
    state: tuple[StateTensor, ...] = ()
    streaming: StreamingFacts | None = None
    weights: tuple[Weight, ...] = ()
    compute_capabilities: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()

    def __deepcopy__(self, memo: object) -> BuiltEngine:
        return self  # immutable, and exir deep-copies graphs whose nodes carry engines

    def budget_size(self, weights_of: str | None = None) -> EngineSize:
        """This engine as `torchtrt_ws.budget.bake` wants it. `weights_of`: whose weights it runs on."""
        other = None if weights_of == self.name else weights_of
        whole = self.streaming is not None and self.streaming.part == "head"
        return EngineSize(self.name, self.streamable_bytes, self.streamable_estimated, other, whole)


@dataclass(frozen=True)
class LoweredMethod:
    """A method whose engines are calls.

    Args:
        program: The method; each engine is one call of `torchtrt_ws::engine`.
        engines: Token of the call to the engine.
        inputs: Names of what the method takes, in calling order; empty: not known. Loaded programs take keywords by it.
        outputs: Names of what it gives, likewise.
    """

    program: ExportedProgram
    engines: dict[str, BuiltEngine]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

"""What one engine is, wherever it comes from. Pure: no torch, no executorch.

A source of engines is one module with one function: it takes a method's `ExportedProgram` and returns `Lowered`, the
same method with each engine as one call (`engine_call.py`), and the engines. What follows is the same for all sources:
budgets, blobs, partitioning and the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torchtrt_ws.blob import Alias, Binding, Metadata, OwnFacts, TensorFacts, header_and_metadata
from torchtrt_ws.budget import EngineSize

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from torchtrt_ws.blob import Buffer

__all__ = [
    "DEFAULT_METHOD",
    "NO_DIGEST",
    "Engine",
    "EngineBlob",
    "Lowered",
    "Payload",
    "ProgramShares",
    "SeekableFile",
    "StreamedPayload",
    "Writable",
]


DEFAULT_METHOD = "forward"
NO_DIGEST = "0" * 64  # holds the place of a digest that is not known yet


class Writable(Protocol):
    """The part of a binary file that writing needs."""

    def write(self, data: Buffer, /) -> int: ...


class SeekableFile(Writable, Protocol):
    """The part of a binary file that writing a program needs."""

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def tell(self) -> int: ...


class Payload(Protocol):
    """An engine's bytes, left where they are until the file is written."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def sha256(self) -> str:
        """64 hexadecimal digits. Reads the whole engine if nothing has yet; known after `write_to`."""

    def write_to(self, file: Writable) -> None:
        """Writes all bytes, without joining them first. May be called again, with the same result."""


class StreamedPayload:
    """A payload that a function writes piece by piece; size and digest come from one dry run.

    Args:
        write_to: Writes the engine to a binary file; the same bytes each time.
    """

    def __init__(self, write_to: Callable[[Writable], None]) -> None:
        meter = _Meter()
        write_to(meter)
        self._write_to = write_to
        self.size = meter.size
        self.sha256 = meter.digest.hexdigest()

    def write_to(self, file: Writable) -> None:
        self._write_to(file)


class _Meter:
    """A file that keeps only the length and the SHA-256 of what is written to it."""

    def __init__(self) -> None:
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, data: Buffer, /) -> int:
        view = memoryview(data).cast("B")
        self.digest.update(view)
        self.size += view.nbytes
        return view.nbytes


@dataclass(frozen=True)
class Engine:
    """One engine of a program.

    Args:
        name: Unique in the program; see `torchtrt_ws.budget.is_engine_name`.
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

    def __deepcopy__(self, memo: object) -> Engine:
        return self  # immutable, and exir deep-copies graphs whose nodes carry engines

    def budget_size(self) -> EngineSize:
        """This engine as `torchtrt_ws.budget.bake` wants it."""
        return EngineSize(self.name, self.streamable_bytes, self.streamable_estimated)


@dataclass(frozen=True)
class ProgramShares:
    """What each engine's blob records of the whole program, so that load can split a total budget."""

    engines: int
    streamable_bytes: int | None

    @staticmethod
    def of(engines: tuple[Engine, ...]) -> ProgramShares:
        """The number of engines, and the sum of their streamable bytes: None as soon as one is not known."""
        sizes = [engine.streamable_bytes for engine in engines]
        known = [size for size in sizes if size is not None]
        return ProgramShares(len(sizes), sum(known) if len(known) == len(sizes) else None)


@dataclass(frozen=True)
class EngineBlob:
    """One engine on its way into the file: `prefix(...)`, then the payload (README "Wire format")."""

    engine: Engine
    shares: ProgramShares

    def __deepcopy__(self, memo: object) -> EngineBlob:
        return self

    def prefix(self, input_order: tuple[int, ...] | None = None, sha256: str | None = None) -> bytes:
        """Header, metadata and padding. Its size does not depend on the digest.

        Args:
            input_order: For each delegate argument, which of `engine.inputs` it is; None for the same order.
            sha256: The engine's digest, where the caller has it, or `NO_DIGEST`; None asks the payload, which may read
                the whole engine.

        Returns:
            All that comes before the engine.

        Raises:
            BlobError: Names or shapes that the format cannot hold.
        """
        engine = self.engine
        order = range(len(engine.inputs)) if input_order is None else input_order
        inputs = tuple(engine.inputs[index] for index in order)
        own = OwnFacts(
            name=engine.name,
            kind=engine.kind,
            sha256=engine.payload.sha256 if sha256 is None else sha256,
            builder=engine.builder,
            streamable_bytes=engine.streamable_bytes,
            streamable_estimated=engine.streamable_estimated,
            program_engines=self.shares.engines,
            program_streamable_bytes=self.shares.streamable_bytes,
            inputs=inputs,
            outputs=engine.outputs,
        )
        metadata = Metadata(
            io_bindings=tuple(Binding(t.name, t.dtype, t.shape, True) for t in inputs)
            + tuple(Binding(t.name, t.dtype, t.shape, False) for t in engine.outputs),
            aliased_io=engine.aliases,
            hardware_compatible=engine.hardware_compatible,
            device_id=engine.device_id,
            serialized_metadata=engine.serialized_metadata,
            target_platform=engine.target_platform,
            own=own,
        )
        return header_and_metadata(metadata, engine.payload.size)


@dataclass(frozen=True)
class Lowered:
    """A method whose engines are calls.

    Args:
        program: The method; each engine is one call of `torchtrt_ws::engine`.
        engines: Token of the call to the engine.
    """

    program: ExportedProgram
    engines: dict[str, Engine]

"""One engine's blob on its way into the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torchtrt_ws.blob import (
    SCHEMA_VERSION,
    STRIPPED_SCHEMA_VERSION,
    VARIANTS_SCHEMA_VERSION,
    Binding,
    Metadata,
    OwnFacts,
    header_and_metadata,
)
from torchtrt_ws.digests import Digests
from torchtrt_ws.export.engine.built_engine import BuiltEngine
from torchtrt_ws.export.engine.equal_plans import EqualPlans
from torchtrt_ws.export.engine.weight import separate_weights

__all__ = ["EngineBlob", "ProgramShares"]


@dataclass(frozen=True)
class ProgramShares:
    """What each engine's blob records of the whole program, so that load can split a total budget."""

    engines: int
    streamable_bytes: int | None
    distinct_bytes: int | None = None  # with engines on the same weights counted once; None: there are none

    @staticmethod
    def of(engines: Sequence[BuiltEngine], plans: EqualPlans | None = None) -> ProgramShares:
        """What blobs record of a program.

        Args:
            engines: Its engines.
            plans: Which of them are equal; None: nobody asked.

        Returns:
            The number of engines, and the sums of their streamable bytes: None as soon as one is not known.
        """
        total = _sum(engines)
        distinct = [each for each in engines if plans is None or plans.loaded_as(each.name) == each.name]
        return ProgramShares(len(engines), total, None if len(distinct) == len(engines) else _sum(distinct))


def _sum(engines: Sequence[BuiltEngine]) -> int | None:
    known = [each.streamable_bytes for each in engines if each.streamable_bytes is not None]
    return sum(known) if len(known) == len(engines) else None


@dataclass(frozen=True)
class EngineBlob:
    """One engine on its way into the file: `prefix(...)`, then the payload (README "Wire format"). `weights_file` is
    the name of the file with the weights, for an engine that is stored without them."""

    engine: BuiltEngine
    shares: ProgramShares
    method_inputs: tuple[str, ...] = ()
    method_outputs: tuple[str, ...] = ()
    weights_file: str = ""

    def __deepcopy__(self, memo: object) -> EngineBlob:
        return self

    def prefix(self, input_order: tuple[int, ...] | None = None, digests: Digests | None = None, gap: int = 0) -> bytes:
        """Header, metadata and padding. Its size does not depend on the digests.

        Args:
            input_order: For each delegate argument, which of `engine.inputs` it is; None for the same order.
            digests: The engine's, where the caller has them, or `UNKNOWN`; None asks the payload, which may read the
                whole engine.
            gap: Bytes between this and the engine.

        Returns:
            All that comes before the engine.

        Raises:
            BlobError: Names or shapes that the format cannot hold.
            ProgramError: More weights than it can hold.
        """
        engine = self.engine
        order = range(len(engine.inputs)) if input_order is None else input_order
        inputs = tuple(engine.inputs[index] for index in order)
        weights = separate_weights(engine.name, engine.weights, self.weights_file) if engine.weights else None
        found = engine.payload.digests if digests is None else digests
        own = OwnFacts(
            name=engine.name,
            kind=engine.kind,
            sha256=found.sha256,
            crc32c=found.crc32c,
            builder=engine.builder,
            streamable_bytes=engine.streamable_bytes,
            streamable_estimated=engine.streamable_estimated,
            program_engines=self.shares.engines,
            program_streamable_bytes=self.shares.streamable_bytes,
            program_distinct_bytes=self.shares.distinct_bytes,
            inputs=inputs,
            outputs=engine.outputs,
            optimization_profiles=tuple(
                tuple(profile[index] for index in order) for profile in engine.optimization_profiles
            ),
            nested_method=engine.nested_method,
            keeps_state=engine.keeps_state,
            state=engine.state,
            method_inputs=self.method_inputs,
            method_outputs=self.method_outputs,
            streaming=engine.streaming,
            weights=weights,
            compute_capabilities=engine.compute_capabilities,
            variants=engine.variants,
            schema=VARIANTS_SCHEMA_VERSION
            if engine.variants
            else SCHEMA_VERSION
            if weights is None
            else STRIPPED_SCHEMA_VERSION,
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
        return header_and_metadata(metadata, engine.payload.size, gap)

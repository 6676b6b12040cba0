"""Tags engine calls, so that each one becomes a delegate of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from executorch.exir.backend.partitioner import DelegationSpec, Partitioner, PartitionResult

from torchtrt_ws.export.graph import engine_call
from torchtrt_ws.export.graph.backend import BLOB_META, STAND_IN_ID

if TYPE_CHECKING:
    import torch
    from executorch.exir.backend.compile_spec_schema import CompileSpec
    from torch.export import ExportedProgram

    from torchtrt_ws.export.engine.engine_blob import EngineBlob

__all__ = ["EngineCallPartitioner"]


class EngineCallPartitioner(Partitioner):  # type: ignore[misc]  # executorch has no types
    """One partition for each engine call; two engines never share one, whatever the graph between them.

    Args:
        blobs: Token of the engine call to the engine's blob.
        compile_specs: Engine name to the delegate's compile specs.
    """

    def __init__(self, blobs: Mapping[str, EngineBlob], compile_specs: Mapping[str, Sequence[CompileSpec]]) -> None:
        super().__init__()
        self._blobs = blobs
        self._compile_specs = compile_specs

    def partition(self, exported_program: ExportedProgram) -> PartitionResult:
        """Tags each engine call of `exported_program`, and gives its node the engine's blob for `preprocess`."""
        tags: dict[str, DelegationSpec] = {}
        for node in exported_program.graph.nodes:
            token = engine_call.token_of(node)
            if token is None:
                continue
            blob = self._blobs[token]
            node.meta[BLOB_META] = blob
            for tagged in (node, *node.users):  # the users are getitems: an engine call returns a list
                tagged.meta["delegation_tag"] = token
            tags[token] = DelegationSpec(STAND_IN_ID, list(self._compile_specs[blob.engine.name]))
        return PartitionResult(tagged_exported_program=exported_program, partition_tags=tags)

    def ops_to_not_decompose(
        self, ep: ExportedProgram
    ) -> tuple[list[torch._ops.OpOverload], Callable[[torch.fx.Node], bool] | None]:
        """Nothing, whatever `ep` holds: engine calls have no decomposition."""
        return ([], None)

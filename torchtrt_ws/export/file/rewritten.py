"""A program that exists, written anew with other engines: everything else in it stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executorch.exir import ExecutorchBackendConfig
from executorch.exir._serialize._program import PTEFile, _flatbuffer_to_program, _restore_segments, serialize_pte_binary
from executorch.exir.schema import BackendDelegateDataReference, BackendDelegateInlineData, DataLocation

from torchtrt_ws.blob import OwnFacts
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.engine.built_engine import BuiltEngine
from torchtrt_ws.export.engine.engine_blob import EngineBlob, ProgramShares
from torchtrt_ws.export.engine.payload import SlicePayload
from torchtrt_ws.export.file.laid_out import LaidOutProgram, alignment_of, with_room
from torchtrt_ws.export.file.shared_segments import share_segments
from torchtrt_ws.export.file.streamed_blobs import Member, StreamedBlobs
from torchtrt_ws.identifiers import BACKEND_ID
from torchtrt_ws.pte.beside import with_files_beside
from torchtrt_ws.pte.info import EngineInfo, ProgramInfo
from torchtrt_ws.pte.layout import PteFile
from torchtrt_ws.pte.read_program import read_open
from torchtrt_ws.pte.source import Source, opened_source

if TYPE_CHECKING:
    from torchtrt_ws.export.engine.built_engine import SeekableFile

__all__ = ["OpenedProgram", "opened"]


class OpenedProgram:
    """A program whose engines are about to change.

    `info` is what it holds; `engines` are its engines as they are, by the place in `info.engines`: equal ones have one
    payload.
    """

    def __init__(self, source: Source, file: Any) -> None:
        path = source.path
        self.info: ProgramInfo = with_files_beside(read_open(source.program))
        self.info.require_engines()
        payloads: dict[tuple[int, int], SlicePayload] = {}
        for each in self.info.engines:
            payloads.setdefault(
                (each.engine_offset, each.engine_bytes), SlicePayload(path, file, each.engine_offset, each.engine_bytes)
            )
        self.engines = tuple(
            _engine(path, each, payloads[each.engine_offset, each.engine_bytes]) for each in self.info.engines
        )
        self._payloads = payloads
        self._path, self._file, self._source = path, file, source
        self._program: PteFile = source.program

    def payload(self, index: int) -> SlicePayload:
        """The bytes of an engine as they are. `index`: its place in `info.engines`."""
        each = self.info.engines[index]
        return self._payloads[each.engine_offset, each.engine_bytes]

    def part(self, index: int, offset: int, size: int) -> SlicePayload:
        """Some bytes of an engine, such as one of its plans.

        Args:
            index: Its place in `info.engines`.
            offset: Where they begin in the engine.
            size: How many; they are within the engine.
        """
        return SlicePayload(self._path, self._file, self.info.engines[index].engine_offset + offset, size)

    def check(self, index: int) -> None:
        """Refuses an engine that is not the one that the file records, before anything is made of it.

        Args:
            index: Its place in `info.engines`.

        Raises:
            ProgramError: It is another one.
        """
        engine, recorded = self.engines[index], self.info.engines[index].sha256
        found = engine.payload.digests.sha256
        if found != recorded:
            raise ProgramError(
                f"{self.info.file}: engine {engine.name!r}",
                f"bytes of SHA-256 {found}",
                f"those that the file records, {recorded}",
                "The file is damaged: save or copy it again.",
            )

    def checked(self, laid_out: LaidOutProgram, others: Iterable[OpenedProgram] = ()) -> Callable[[SeekableFile], None]:
        """What writes a program that was made of this one, and fails where this one was not the same all along.

        Args:
            laid_out: From `laid_out`.
            others: Programs that it was made of, too.

        Returns:
            A function that writes it to a file, which is then refused if a source was changed, replaced or removed
            since it was opened (ProgramError): it may have parts of two programs in it.
        """

        def write(file: SeekableFile) -> None:
            laid_out.write_to(file)
            for each in (self, *others):
                each._source.check_unchanged()

        return write

    def laid_out(self, engines: Mapping[int, BuiltEngine], weights_file: str) -> LaidOutProgram:
        """The program with other engines.

        Args:
            engines: Place in `info.engines` to the engine, for all of them. They take and give what those did.
            weights_file: The name of the file with the weights of those that are without.
        """
        blobs = iter(self._blobs(engines, weights_file))
        whole = self._restored()
        for delegate in (each for plan in whole.program.execution_plan for each in plan.delegates):
            if delegate.id == BACKEND_ID:
                index = len(whole.program.backend_delegate_data)
                blob = next(blobs)
                data: Any = StreamedBlobs([Member(blob, tuple(range(len(blob.engine.inputs))))])
                whole.program.backend_delegate_data.append(BackendDelegateInlineData(data=data))
                delegate.processed = BackendDelegateDataReference(location=DataLocation.INLINE, index=index)
        config = ExecutorchBackendConfig()
        cord = serialize_pte_binary(
            whole,
            extract_delegate_segments=True,
            segment_alignment=config.segment_alignment,
            constant_tensor_alignment=config.constant_tensor_alignment,
            delegate_alignment=config.delegate_alignment,
        )
        return LaidOutProgram(with_room(share_segments(cord, alignment_of(whole.named_data, config))))

    def _blobs(self, engines: Mapping[int, BuiltEngine], weights_file: str) -> Iterator[EngineBlob]:
        for index, each in enumerate(self.info.engines):
            own = _own(self.info.file, each)
            shares = ProgramShares(own.program_engines, own.program_streamable_bytes, own.program_distinct_bytes)
            yield EngineBlob(engines[index], shares, own.method_inputs, own.method_outputs, weights_file)

    def _restored(self) -> PTEFile:
        """All but our engines, as exir has it before it serializes. Segments of our engines are not read."""
        file = self._program
        program = _flatbuffer_to_program(bytes(file.view[: file.program_size]))
        ours = {
            delegate.processed.index
            for plan in program.execution_plan
            for delegate in plan.delegates
            if delegate.id == BACKEND_ID and delegate.processed.location == DataLocation.SEGMENT
        }
        for index, segment in enumerate(program.segments):
            if index in ours:
                program.segments[index] = replace(segment, offset=0, size=0)
        for plan in program.execution_plan:
            for delegate in plan.delegates:
                if delegate.id == BACKEND_ID:  # its data are given anew
                    delegate.processed = BackendDelegateDataReference(location=DataLocation.INLINE, index=0)
        return _restore_segments(program, _Segments(file))


class _Segments:
    """The segments of a file, as `bytes` where somebody takes a part of them."""

    def __init__(self, file: PteFile) -> None:
        self._view = file.view[file.segment_base :] if file.segment_base else memoryview(b"")

    def __len__(self) -> int:
        return self._view.nbytes

    def __getitem__(self, part: slice) -> bytes:
        return bytes(self._view[part])


@contextmanager
def opened(path: Path) -> Iterator[OpenedProgram]:
    """Opens a program, for as long as the context lasts.

    Args:
        path: The file.

    Returns:
        The program.

    Raises:
        ProgramError: No program, no engines in it, engines without our metadata, or engines in a data file.
    """
    # One open file for all that is read: under its name there may be another one by now.
    with (
        opened_source(path, to_change=False) as source,
        open(source.descriptor, "rb", buffering=0, closefd=False) as file,
    ):
        yield OpenedProgram(source, file)


def _own(path: str, engine: EngineInfo) -> OwnFacts:
    own = engine.metadata.own
    if own is None:
        raise ProgramError(
            f"{path}: engine {engine.name!r}",
            "no metadata of torchtrt-ws",
            "an engine whose metadata say what it is",
            "Run torchtrt-ws annotate on the file first.",
        )
    return own


def _engine(path: str, engine: EngineInfo, payload: SlicePayload) -> BuiltEngine:
    own, metadata = _own(path, engine), engine.metadata
    if engine.engine_key is not None:
        raise ProgramError(
            f"{path}: engine {engine.name!r}",
            f"an engine in a data file, under the key {engine.engine_key!r}",
            "engines in the program",
            "Save the program again with torchtrt_ws.save.",
        )
    return BuiltEngine(
        name=own.name,
        kind=own.kind,
        builder=own.builder,
        payload=payload,
        inputs=own.inputs,
        outputs=own.outputs,
        streamable_bytes=own.streamable_bytes,
        streamable_estimated=own.streamable_estimated,
        aliases=metadata.aliased_io,
        hardware_compatible=metadata.hardware_compatible,
        device_id=metadata.device_id,
        serialized_metadata=metadata.serialized_metadata,
        target_platform=metadata.target_platform,
        optimization_profiles=own.optimization_profiles,
        nested_method=own.nested_method,
        keeps_state=own.keeps_state,
        state=own.state,
        streaming=own.streaming,
        compute_capabilities=own.compute_capabilities,
        variants=own.variants,
    )

"""The keyword `streaming` of `torchtrt_ws.save`. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from torchtrt_ws.errors import ProgramError

__all__ = ["StreamingOptions", "read_streaming"]

MIB = 1 << 20


@dataclass(frozen=True)
class StreamingOptions:
    """Which steps an export takes for weights that are streamed. Each leaves the results as they are, but for rounding.

    Args:
        host_tables: Weights that rows are only looked up in (token embeddings) become constants of the program, and
            ExecuTorch's CPU kernels do the lookup before the engine runs. Streaming would move all of such a table in
            every call, for a few rows.
        head_engine: A last matrix that is larger than every other weight gets an engine of its own behind the first,
            `NAME_head`. In one engine it would make the scratch memory larger than all the others need.
        min_table_bytes: Tables below this stay in the engine. The default of 16 MiB takes 0.3 ms to stream at 55 GB/s;
            a lookup on the CPU, and the copy of its rows to the device, take some tens of microseconds.
        min_head_bytes: Matrices below this stay in the engine. A further engine costs about 13 MB for its context
            (H100, benchmarks/results/gpu-h100.md), and a launch; the default of 64 MiB is five times that.
    """

    host_tables: bool = True
    head_engine: bool = True
    min_table_bytes: int = 16 * MIB
    min_head_bytes: int = 64 * MIB

    @staticmethod
    def off() -> StreamingOptions:
        """No step at all."""
        return StreamingOptions(host_tables=False, head_engine=False)


def read_streaming(given: Any, engine: str | None) -> StreamingOptions:
    """Reads the keyword.

    Args:
        given: None for the default, which is on for "tensorrt_rtx"; True, False, or the options.
        engine: The keyword `engine`.

    Returns:
        The options; `off()` for other engines.

    Raises:
        ProgramError: Something else, sizes that are none, or a wish for an engine that has no such export.
    """
    options = given
    if given is None or given is True:
        options = StreamingOptions()
    elif given is False:
        options = StreamingOptions.off()
    if not isinstance(options, StreamingOptions):
        raise ProgramError(
            "streaming",
            repr(given),
            "True, False, or torchtrt_ws.export.streaming.StreamingOptions(...)",
            "Leave it out for what suits the engine.",
        )
    for field in fields(options):
        value = getattr(options, field.name)
        is_size = field.name.startswith("min_")
        if type(value) is not (int if is_size else bool) or value < 0:
            expected = "a number of bytes" if is_size else "True or False"
            raise ProgramError(f"streaming.{field.name}", repr(value), expected, "Correct it.")
    if engine == "tensorrt_rtx":
        return options
    if given is not None and options != StreamingOptions.off():
        raise ProgramError(
            "streaming",
            f"{given!r} for an engine {engine or 'host'!r}",
            'None or False: only engine="tensorrt_rtx" builds its engines here from whole modules',
            'Leave it out, or build with engine="tensorrt_rtx".',
        )
    return StreamingOptions.off()

"""What `torchtrt-ws inspect --digest` prints."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType

from torchtrt_ws.cli._table import facts, heading
from torchtrt_ws.pte import DigestReport, EngineDigest

__all__ = ["digests"]


def digests(report: DigestReport, console: Console | None = None) -> None:
    """Prints what the engines' bytes are, and whether that is what the file records.

    Args:
        report: What `torchtrt_ws.pte.check_digests` found.
        console: Where to; stdout by default.
    """
    parts: list[RenderableType] = []
    for engine in report.engines:
        parts += [heading(f"engine {engine.name}: {engine.result}"), facts(_lines(engine))]
    (console or Console(highlight=False)).print(Group(*parts))


def _lines(engine: EngineDigest) -> Iterator[tuple[str, str]]:
    pairs = (("SHA-256", engine.sha256, engine.recorded_sha256), ("CRC-32C", engine.crc32c, engine.recorded_crc32c))
    for label, found, recorded in pairs:
        if found is not None:
            yield label, found
        if recorded is not None and recorded != found:
            yield "recorded", recorded
    if engine.other_weights:
        yield "weights", "not as recorded: " + ", ".join(engine.other_weights)
    elif engine.weights_problem is not None:
        yield "weights", engine.weights_problem
    elif engine.other_weights is not None:
        yield "weights", "as recorded"

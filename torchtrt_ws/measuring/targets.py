"""The files that a report is written to: checked before anything is measured, written when all is."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from torchtrt_ws import pte
from torchtrt_ws.atomic import check_target
from torchtrt_ws.errors import EngineError, ProgramError
from torchtrt_ws.measuring.report import BenchReport

__all__ = ["PICTURES", "check", "require", "whole", "write"]

PICTURES = (".png", ".svg", ".pdf")


def check(
    program: str | os.PathLike[str],
    profile: str | os.PathLike[str] | None,
    plot: str | os.PathLike[str] | None = None,
    page: str | os.PathLike[str] | None = None,
) -> None:
    """Refuses now what would be refused after the measurement.

    Args:
        program: The .pte.
        profile: Where its profile goes; None: nowhere.
        plot: Where the picture goes.
        page: Where the page goes.

    Raises:
        ProgramError: A program that cannot be read, or does not record its engines' digests; one file for two
            purposes, or one that cannot be written; a picture that is neither .png, .svg nor .pdf.
        EngineError: A package of the extra "plot" is missing.
    """
    info = pte.read(program)
    for engine in info.engines if profile is not None else ():
        if engine.sha256 is None:
            raise ProgramError(
                f"{info.file}: {engine.name}", "an engine without a digest", "one that a profile can be compared with",
                "Run `torchtrt-ws annotate` on the program.",
            )  # fmt: skip
    files = [Path(each) for each in (program, profile, plot, page) if each is not None]
    for position, file in enumerate(files):
        if file.resolve() in {other.resolve() for other in files[:position]}:
            raise ProgramError(str(file), "one file for two purposes", "a file for each", "Give another name.")
    for file in files[1:]:
        check_target(file)
    if plot is not None:
        if Path(plot).suffix.lower() not in PICTURES:
            raise ProgramError(str(plot), f"a picture {Path(plot).suffix!r}", " or ".join(PICTURES), "Mend the name.")
        require("matplotlib")
    if page is not None:
        require("plotly")


def whole(program: str | os.PathLike[str], method: str | None) -> bool:
    """Whether measuring one `method` of a `program` (None: all) measures all its engines.

    Raises:
        ProgramError: A program that cannot be read.
    """
    return method is None or all(engine.method == method for engine in pte.read(program).engines)


def require(package: str) -> None:
    """Imports a `package` of the extra "plot".

    Raises:
        EngineError: It is not installed.
    """
    try:
        importlib.import_module(package)
    except ImportError as error:
        found = f"none that can be imported ({error})"
        raise EngineError(package, found, f"the package {package}", "Run `pip install torchtrt-ws[plot]`.") from None


def write(
    report: BenchReport,
    profile: str | os.PathLike[str] | None,
    plot: str | os.PathLike[str] | None = None,
    page: str | os.PathLike[str] | None = None,
) -> None:
    """Writes a report's files; each is the old one or the whole new one.

    Args:
        report: What `bench` measured.
        profile: Where its profile goes; None: nowhere.
        plot: Where the picture goes.
        page: Where the page goes.

    Raises:
        ProgramError, EngineError: As `check`.
    """
    if profile is not None:
        report.profile().write(profile)
    if plot is not None:
        from torchtrt_ws.measuring.plot import plot as draw

        draw(report, plot)
    if page is not None:
        from torchtrt_ws.measuring.page import write_page

        write_page(report, page)

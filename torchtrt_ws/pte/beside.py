"""What lies beside a program and belongs to it: its signature, and the data files that it takes tensors from."""

from __future__ import annotations

import os
from dataclasses import replace

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.identifiers import SIGNATURE_SUFFIX
from torchtrt_ws.pte.companion import with_companions
from torchtrt_ws.pte.data_file import data_files_beside
from torchtrt_ws.pte.info import ProgramInfo

__all__ = ["with_files_beside"]


def with_files_beside(report: ProgramInfo) -> ProgramInfo:
    """Completes a report by what lies beside its file.

    Args:
        report: Of a file that is where its path says.

    Returns:
        The report. Data files that a load would refuse are no error here: `data_problem` has its words.
    """
    signature = report.file + SIGNATURE_SUFFIX
    files: tuple[str, ...] = ()
    problem = None
    try:
        found = data_files_beside(report.file, report.names_in_data_files)
        files = tuple(with_companions(report.file, report.engines, found))
    except ProgramError as error:
        problem = str(error)
    return replace(
        report,
        data_files=files,
        data_problem=problem,
        signature=signature if os.path.exists(signature) else None,
    )

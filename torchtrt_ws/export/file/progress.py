"""A progress bar for what takes longer than a second: on stderr, and only where a person looks."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, BinaryIO

from torchtrt_ws.copying import copy_range

if TYPE_CHECKING:
    from rich.progress import Progress

    from torchtrt_ws.blob import Buffer

__all__ = ["ProgressFile"]

DELAY = 1.0  # seconds


class ProgressFile:
    """A binary file that shows how much of it is written.

    Args:
        file: The file.
        total: Bytes that will be written.
        label: What the bar says.
    """

    def __init__(self, file: BinaryIO, total: int, label: str) -> None:
        self._file, self._total, self._label = file, total, label
        self._progress: Progress | None = None
        self._shown_at = time.monotonic() + DELAY if sys.stderr.isatty() else float("inf")

    def __enter__(self) -> ProgressFile:
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def write(self, data: Buffer, /) -> int:
        count = self._file.write(data)
        self._show()
        return count

    def copy_from(self, descriptor: int, offset: int, size: int) -> int:
        """Copies a part of another file, as `torchtrt_ws.copying.copy_range` does.

        Args:
            descriptor: The other file.
            offset: Where the part begins, in bytes.
            size: Its bytes.

        Returns:
            Bytes copied.
        """
        return copy_range(descriptor, offset, size, self._file, self._show)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def _show(self) -> None:
        if time.monotonic() < self._shown_at:
            return
        if self._progress is None:
            self._progress = _bar()
            self._progress.add_task(self._label, total=self._total)
            self._progress.start()
        self._progress.update(self._progress.task_ids[0], completed=self._file.tell())


def _bar() -> Progress:
    from rich.console import Console  # not at the top: few saves take a second
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)

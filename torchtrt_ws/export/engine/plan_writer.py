"""A plan that is written to a file while it is built: hashed on the way, and never in memory as a whole."""

from __future__ import annotations

import tempfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from torchtrt_ws.digests import Hasher
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.engine.payload import PIECE, FilePayload

__all__ = ["PlanWriter"]

_WAITING = 2  # pieces to be written and hashed: TensorRT-RTX gives 64 MiB at a time


class PlanWriter:
    """Takes a plan piece by piece. Use it as a context.

    One thread writes and one hashes: the builder makes the next piece meanwhile. The file has no name, so that nothing
    is left of it whatever becomes of the process.

    Args:
        folder: Where it lies; None for the system's folder of temporary files.

    Raises:
        ProgramError: A folder where no file can be made.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir())
        try:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115  # the payload keeps it
        except OSError as error:
            raise self._refused(error) from error
        self._error: BaseException | None = None
        self._hasher = Hasher()
        self._hashing, self._writing = ThreadPoolExecutor(1, "digests"), ThreadPoolExecutor(1, "plan")
        self._pending: deque[tuple[Future[None], Future[None]]] = deque()

    def __enter__(self) -> PlanWriter:
        return self

    def __exit__(self, *error: object) -> None:
        for thread in (self._hashing, self._writing):
            thread.shutdown(cancel_futures=True)

    def write(self, data: bytes) -> int:
        """Takes the next bytes.

        Args:
            data: The bytes.

        Returns:
            How many; 0 where something went wrong with these or those before, which `check` raises: no exception goes
            through TensorRT.
        """
        self._pending.append((self._writing.submit(self._write, data), self._hashing.submit(self._hasher.update, data)))
        self._wait(_WAITING)
        return 0 if self._error else len(data)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left[:PIECE]) :]

    def _wait(self, most: int) -> None:
        """Until no more than so many pieces are on their way. What goes wrong first is kept."""
        while len(self._pending) > most:
            for each in self._pending.popleft():
                self._error = self._error or each.exception()

    def check(self) -> None:
        """Waits for all that was written, and raises what went wrong; a ProgramError where it was the file."""
        self._wait(0)
        if isinstance(self._error, OSError):
            raise self._refused(self._error) from self._error
        if self._error is not None:
            raise self._error

    def payload(self) -> FilePayload:
        """All that was written; or raises as `check` does."""
        self.check()
        return FilePayload(self._file, self._hasher.digests())

    def _refused(self, error: OSError) -> ProgramError:
        return ProgramError(
            f"the plan, in a file in {str(self._folder)!r}",
            str(error.strerror or error),
            "room for the plan, and for the program beside it",
            "Free space, or save to another folder.",
        )

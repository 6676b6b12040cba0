"""Copies a part of a file to another one: shared blocks where the file system can, else inside the kernel."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import BinaryIO

__all__ = ["copy_range"]

_PIECE = 16 << 20  # bytes: an interrupt waits for one at most, and a progress bar moves by one
_REFUSED = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # by copy_file_range(2): see its page


def copy_range(descriptor: int, offset: int, size: int, file: BinaryIO, done: Callable[[], None] = lambda: None) -> int:
    """Writes a part of one file at the position of another, which moves behind it.

    Args:
        descriptor: The file to read; its position does not matter.
        offset: Where the part begins, in bytes.
        size: Its bytes.
        file: The file to write.
        done: Called after each piece.

    Returns:
        Bytes copied: fewer than `size` where the file ends before.
    """
    file.flush()
    end = offset + size
    while offset < end:
        count = _copy_piece(descriptor, file.fileno(), min(_PIECE, end - offset), offset)
        if count == 0:
            break
        offset += count
        done()
    file.seek(0, os.SEEK_CUR)  # tells Python where the descriptor is
    return size - (end - offset)


def _copy_piece(source: int, target: int, size: int, offset: int) -> int:
    try:
        return os.copy_file_range(source, target, size, offset_src=offset)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
    return os.sendfile(target, source, offset, size)

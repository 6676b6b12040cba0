"""The log lines of C++, ExecuTorch's and those of its delegates, as records of Python's `logging`."""

from __future__ import annotations

import atexit
import logging
import re
import threading

from torchtrt_ws.logs import ENGINES, EXECUTORCH, XNNPACK, from_environment
from torchtrt_ws.runtime.native import _native

__all__ = ["take_over"]

_OURS = "torchtrt_ws: "  # how our lines begin (cpp/engine/log.cpp)
_JSON = '{"torchtrt_ws":'  # and a load's, where it was asked for in JSON (cpp/delegate/log_load.cpp)
_MORE = _OURS + "  "  # and those that go on with the one before
_WARNING = "warning: "  # ExecuTorch has no level for them
_LEVELS = {"D": logging.DEBUG, "I": logging.INFO, "E": logging.ERROR, "F": logging.CRITICAL}
# XNNPACK opens a cache that it has read once more, to add to it. One of root's is there to be read (EACCES, EROFS).
_READ_ONLY_CACHE = re.compile(r"open\(/proc/self/fd/\d+\) failed \(errno=(13|30)\)")

_last_level = threading.local()  # of our lines: one that goes on may come by itself


def take_over() -> None:
    """Sends the lines of this process to `logging` until it ends."""
    from_environment()
    _native.set_log_handler(_pass_on)
    atexit.register(_give_back)


def _give_back() -> None:
    _pass_on()
    _native.set_log_handler(None)
    if any(thread.daemon for thread in threading.enumerate()):
        _native.set_leak_warnings(False)  # they keep what they work with, and nanobind would list it on stderr


def _pass_on() -> None:
    waiting: dict[int, logging.LogRecord] = {}  # by thread: a later line may go on with it
    for created, letter, path, function, line, message, thread in _native.take_log_lines():
        if message.startswith(_MORE) and thread in waiting:
            waiting[thread].msg += " " + message.removeprefix(_MORE)
            continue
        if (before := waiting.pop(thread, None)) is not None:
            _handle(before)
        name, level = _read(path, letter, message)
        text = message.removeprefix(_OURS).lstrip() if name == ENGINES else message
        record = logging.getLogger(name).makeRecord(name, level, path, line, text, (), None, function)
        record.created, record.thread, record.threadName = created, thread, None
        waiting[thread] = record
    for record in waiting.values():
        _handle(record)


def _handle(record: logging.LogRecord) -> None:
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def _read(path: str, letter: str, message: str) -> tuple[str, int]:
    """Logger and level of a line."""
    level = _LEVELS.get(letter, logging.INFO)
    if message.startswith(_JSON):
        return ENGINES, level
    if not message.startswith(_OURS):
        of_xnnpack = path.rpartition("/")[2].startswith("XNN")
        if of_xnnpack and _READ_ONLY_CACHE.fullmatch(message):
            level = logging.DEBUG
        return (XNNPACK if of_xnnpack else EXECUTORCH), level
    if message.startswith(_MORE):
        return ENGINES, getattr(_last_level, "value", level)
    if level == logging.INFO and (message.startswith(_OURS + _WARNING) or f": {_WARNING}" in message):
        level = logging.WARNING
    _last_level.value = level
    return ENGINES, level

"""What is logged, and how loud: everything goes through Python's `logging`, what C++ says too.

Loggers: "torchtrt_ws" for this package ("torchtrt_ws.engines" for what its engines say), "executorch" for ExecuTorch
and its delegates ("executorch.xnnpack" for XNNPACK's). They are as loud as `logging` is told to be: without that, it
shows warnings and errors on stderr. `quiet` and `verbose` are for programs that configure nothing; so is the
environment's `TORCHTRT_WS_LOG`, which is "quiet" or "verbose".
"""

from __future__ import annotations

import logging
import os
import sys

__all__ = ["ENGINES", "EXECUTORCH", "VARIABLE", "XNNPACK", "default", "quiet", "verbose"]

PACKAGE, ENGINES = "torchtrt_ws", "torchtrt_ws.engines"
EXECUTORCH, XNNPACK = "executorch", "executorch.xnnpack"
VARIABLE = "TORCHTRT_WS_LOG"

_NOTHING = logging.CRITICAL + 1
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_handler: logging.Handler | None = None  # of `verbose`


def quiet() -> None:
    """Logs nothing, errors neither: what fails raises, and the exception says why."""
    _set(_NOTHING)


def verbose() -> None:
    """Logs all there is, on stderr where `logging` has no handler yet."""
    global _handler
    _set(logging.DEBUG)
    if _handler is None and not logging.getLogger().handlers:
        _handler = logging.StreamHandler(sys.stderr)
        _handler.setFormatter(logging.Formatter(_FORMAT))
        for name in (PACKAGE, EXECUTORCH):
            logging.getLogger(name).addHandler(_handler)


def default() -> None:
    """As `logging` is configured: undoes the other two."""
    _set(logging.NOTSET)


def from_environment() -> None:
    """What `TORCHTRT_WS_LOG` says; anything else there is a warning."""
    wish = os.environ.get(VARIABLE, "")
    if wish == "quiet":
        quiet()
    elif wish == "verbose":
        verbose()
    elif wish:
        logging.getLogger(PACKAGE).warning('%s: found %r; expected "quiet" or "verbose".', VARIABLE, wish)


def _set(level: int) -> None:
    global _handler
    for name in (PACKAGE, EXECUTORCH):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        if _handler is not None:
            logger.removeHandler(_handler)
    _handler = None

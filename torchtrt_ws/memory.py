"""The memory of this process: its engines share each device with each other and with other programs.

`make_room` takes weights from the engines that matter least, `give_back` returns them; `headroom` keeps bytes of a
device free, and `following` looks after them as other programs come and go. `Program.priority` says who matters,
`Program.sleep` puts a program to 0 bytes. Sizes are bytes, or text such as "2GiB"; a device is "cuda:0" or "cpu", and
may be left out where all engines are on one.
"""

from __future__ import annotations

import atexit
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torchtrt_ws import budget
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.runtime.native import _native, translated

__all__ = ["engines", "follow", "following", "give_back", "headroom", "make_room"]


def engines() -> list[dict[str, Any]]:
    """Reports of all live engines of the process, in loading order, whoever loaded them.

    Returns:
        For each the fields of `Engine`, its `id`, and the ids of those on the same weights (`shared_with`).
        Those of a program's contexts are listed one by one.
    """
    reports = (_native.engine_report(identifier) for identifier in _native.all_engine_ids())
    return [report for report in reports if report["id"]]  # one that has gone meanwhile has none


def make_room(size: int | str, *, device: str | None = None) -> int:
    """Makes at least `size` bytes of a device free: nothing to do where they are. Waits for runs in flight.

    Else the engines of the lowest priority give weights, explicit budgets among them, in steps: those that their
    program's profile says are worth it, else sixteenths. Their `source` is "make-room" until they have it back.

    Args:
        size: Bytes, or a size such as "2GiB".
        device: Whose memory; None for the one that all engines are on.

    Returns:
        Bytes that the engines gave.

    Raises:
        BudgetError: A size that cannot be read.
        CapacityError: That much cannot be made free; the error says how much can. All budgets are as before.
        ProgramError: No engine on the device, or engines on several and none given.
        EngineError: An engine's runtime failed.
    """
    wanted = budget.size(size, "make_room")
    where = _device(device)
    with translated():
        return _native.make_room(where, wanted)


def give_back() -> int:
    """Gives back what `make_room` and the headroom took, the highest priority first, as far as it fits.

    The headroom stays free, and beside automatic budgets 64 MiB. An engine that has all that it wanted has its old
    `source` too; the others get the rest with a later call.

    Returns:
        Bytes that the engines took.

    Raises:
        EngineError: An engine's runtime failed; the others have theirs.
    """
    with translated():
        return _native.give_back()


def headroom(size: int | str | None = None, *, device: str | None = None) -> int:
    """Bytes of a device that stay free, for other programs and for what this one allocates elsewhere.

    Looked at when it is set, with each load, change of budget and waking, and by `follow`: where less is free the
    engines of the lowest priority give weights, as far as they can. Automatic budgets leave it free when they are
    chosen.

    Args:
        size: Bytes, or a size such as "1GiB"; 0 for none. None: change nothing, and tell.
        device: Whose memory; None for the one that all engines are on, or "cuda:0" before any is loaded.

    Returns:
        The headroom, in bytes.

    Raises:
        BudgetError: A size that cannot be read.
        ProgramError: Engines on several devices, and none given.
    """
    where = _device(device)
    if size is not None:
        wanted = budget.size(size, "headroom")
        with translated():
            _native.set_headroom(where, wanted)
    return _native.headroom(where)


def follow() -> int:
    """One look at the devices with a headroom: takes what is missing, gives back slowly what the headroom took.

    Half of what is 64 MiB more than the headroom, and only when the look before saw as much: so processes that share a
    device do not swing. What `make_room` took waits for `give_back`.

    Returns:
        Bytes that the engines gave; negative: took.

    Raises:
        EngineError: An engine's runtime failed; the others were tried.
    """
    with translated():
        return _native.follow()


@contextmanager
def following(seconds: float = 1.0) -> Iterator[None]:
    """Calls `follow` again and again, in a thread of its own, while a `with` block runs. Its failures are in the log.

    Args:
        seconds: Between two looks, at least 0.001.

    Raises:
        ProgramError: No such number of seconds.

    Example:
        torchtrt_ws.memory.headroom("1GiB")
        with torchtrt_ws.memory.following(seconds=0.5):
            serve(program)
    """
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool) and math.isfinite(seconds)
    if not is_number or not 0.001 <= seconds <= 86400:
        raise ProgramError("following", seconds, "seconds from 0.001 to 86400", "Leave it out for 1.0.")
    stop = _native.Following(round(seconds * 1000)).stop
    atexit.register(stop)  # a daemon thread never comes to the end of the block
    try:
        yield
    finally:
        atexit.unregister(stop)
        stop()


def _device(given: str | None) -> str:
    if given is not None:
        return given
    devices = sorted({report["device"] for report in engines()})
    if len(devices) > 1:
        raise ProgramError("device", "none given", f"one of {', '.join(devices)}", "Engines are on all of these.")
    return devices[0] if devices else "cuda:0"

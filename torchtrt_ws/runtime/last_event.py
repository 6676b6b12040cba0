"""What to wait for where a call returned before its work was done."""

from __future__ import annotations

from torchtrt_ws.runtime.native import _native

__all__ = ["last_event"]


def last_event() -> int | None:
    """The CUDA event behind the engines of this thread's last call.

    Results need no waiting on the stream that was current in the call. Elsewhere this event is to be waited for, as by
    `cupy.cuda.runtime.streamWaitEvent(stream, event)` or `cuda.bindings.runtime.cudaEventSynchronize(event)`.

    Returns:
        The `cudaEvent_t` as a number; None where the call waited itself, failed, or ran no engine on a GPU. The
        engine's next call records it anew, and it goes with the program.
    """
    return _native.last_event() or None

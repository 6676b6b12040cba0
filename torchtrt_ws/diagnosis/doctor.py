"""Looks at the installation and at the machine, and lets nothing that is missing stop it."""

from __future__ import annotations

import importlib.metadata
import os
import platform

from torchtrt_ws import versions
from torchtrt_ws.diagnosis.diagnosis import ADAPTER, DRIVER, EXECUTORCH, MODULE, RTX, TENSORRT, Diagnosis
from torchtrt_ws.errors import WeightStreamingError
from torchtrt_ws.facts import NO, OK, UNKNOWN, Fact
from torchtrt_ws.identifiers import TENSORRT as KIND

__all__ = ["doctor"]

_REQUIRED = "executorch==1.5.1"  # what the compiled module is linked to


def doctor() -> Diagnosis:
    """Tells whether programs can be run on a GPU here: the adapter, its libraries, driver and devices.

    The libraries are those that a load would take (`TORCHTRT_WS_NVINFER` and the like, `LD_LIBRARY_PATH`, pip's
    packages, the system's folders), found by loading them. Makes no CUDA context. Where the adapter is missing, what
    can be told without it is: "unknown" then, since nothing was loaded.

    Returns:
        The facts, whether they suffice (`ready`), and the one next step.
    """
    import torchtrt_ws

    python = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    facts = [Fact("torchtrt-ws", OK, f"{torchtrt_ws.__version__} ({python})"), _executorch()]
    return Diagnosis((*facts, *_compiled()))


def _executorch() -> Fact:
    step = f"pip install --no-deps {_REQUIRED}."
    try:
        version = importlib.metadata.version("executorch")
    except importlib.metadata.PackageNotFoundError:
        return Fact(EXECUTORCH, NO, "not installed", step)
    if version.partition("+")[0] != _REQUIRED.partition("==")[2]:  # 1.5.1+cpu is that version
        return Fact(EXECUTORCH, NO, f"{version}; expected {_REQUIRED}", step)
    return Fact(EXECUTORCH, OK, version)


def _compiled() -> list[Fact]:
    """The compiled module, and what the adapter tells through it."""
    known = versions.versions()
    try:
        from torchtrt_ws.runtime.native import _native
    except (WeightStreamingError, ImportError) as error:
        found = error.found if isinstance(error, WeightStreamingError) else str(error)
        step = error.next_step if isinstance(error, WeightStreamingError) else "Install torchtrt-ws with pip."
        return [Fact(MODULE, NO, str(found), step), *_seen(known)]
    module = Fact(MODULE, OK, known["native module"])
    try:
        told = [Fact(*fact) for fact in _native.survey(KIND)]
    except _native.Error as error:
        _code, _subject, found, _expected, _step = error.args
        return [module, _no_adapter(str(found), known["TensorRT adapter"]), *_seen(known)]
    kernel = f", version {known['NVIDIA driver']}" if known["NVIDIA driver"] != versions.NOT_FOUND else ""
    named = [
        Fact(fact.name, fact.verdict, fact.found + kernel, fact.remedy)
        if fact.name == DRIVER and fact.verdict == OK
        else fact
        for fact in told
    ]
    return [module, Fact(ADAPTER, OK, known["TensorRT adapter"]), *named]


def _no_adapter(words: str, path: str) -> Fact:
    """Not there, or there and not loaded; `words` are the loader's."""
    if path != versions.NOT_FOUND:
        return Fact(ADAPTER, NO, words, "Install what it asks for, or torchtrt-ws again.")
    if chosen := os.environ.get("TORCHTRT_WS_TENSORRT_LIBRARY"):
        return Fact(ADAPTER, NO, f"no {chosen}", "Correct TORCHTRT_WS_TENSORRT_LIBRARY, or unset it.")
    step = "pip install -v torchtrt-ws once more: its log says which headers the adapter lacked."
    return Fact(ADAPTER, NO, "this install was built without it", step)


def _seen(known: dict[str, str]) -> list[Fact]:
    """What lies on this machine, by its files; the adapter would say more."""
    names = {TENSORRT: TENSORRT, RTX: RTX, DRIVER: "NVIDIA driver"}
    return [Fact(name, UNKNOWN, known[label]) for name, label in names.items()]

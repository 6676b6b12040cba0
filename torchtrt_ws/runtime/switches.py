"""The options of a load that are not about budgets: keywords to what travels."""

from __future__ import annotations

import os

from torchtrt_ws.errors import ProgramError

__all__ = ["switch_options"]

VERIFY = ("checksum", "digest", "off")  # what `verify=` takes
MOST_TEXT = 255  # bytes of an option's text: executorch/runtime/backend/options.h, kMaxOptionValueLength
_MOST_DEVICES = 2**31 - 1  # an int of C++
CUDA_GRAPH = ("auto", "on", "off")  # what `cuda_graph=` takes, beside bools


def switch_options(
    *,
    device_id: int | None = None,
    cuda_graph: bool | str | None = None,
    share_engines: bool | None = None,
    share_activation_memory: bool | None = None,
    huge_pages: bool | None = None,
    runtime_cache: str | os.PathLike[str] | None = None,
    refit_cache: str | os.PathLike[str] | None = None,
    verify: str | None = None,
) -> dict[str, bool | int | str]:
    """Turns keywords of `load` into the backend's options.

    Args:
        device_id: CUDA device to load on.
        cuda_graph: Whether runs are captured and replayed as CUDA graphs: "auto", a bool, "on" or "off".
        share_engines: Whether the weights of an engine that is loaded already are used.
        share_activation_memory: Whether a program's execution contexts work in one piece of device memory.
        huge_pages: Whether they are asked for, for the memory that large engines are read into.
        runtime_cache: The folder for the kernels that TensorRT-RTX compiles, or "off".
        refit_cache: The folder for plans that were saved without their weights, with them; or "off".
        verify: "checksum", "digest" or "off".

    Returns:
        Option key to value; None leaves an option out.

    Raises:
        ProgramError: A `device_id` that is none; another word for `verify` or `cuda_graph`; a folder for a cache that
            is empty, or longer than an option holds.
    """
    if device_id is not None and not 0 <= device_id <= _MOST_DEVICES:
        raise ProgramError("device_id", str(device_id), f"an index from 0 to {_MOST_DEVICES}", "Correct it.")
    _check("verify", verify, VERIFY, "Leave it out for the checksum.")
    if not isinstance(cuda_graph, bool):
        _check("cuda_graph", cuda_graph, CUDA_GRAPH, "Leave it out for what the file says, else off.")
    switches: dict[str, bool | int | str | None] = {
        "device_id": device_id,
        "cuda_graph": cuda_graph,
        "use_shared_engines": share_engines,
        "use_shared_activation_scratch": share_activation_memory,
        "huge_pages": huge_pages,
        "runtime_cache": None if runtime_cache is None else _folder("runtime_cache", runtime_cache),
        "refit_cache": None if refit_cache is None else _folder("refit_cache", refit_cache),
        "verify": verify,
    }
    return {key: value for key, value in switches.items() if value is not None}


def _folder(keyword: str, path: str | os.PathLike[str]) -> str:
    folder = os.fspath(path)
    size = len(os.fsencode(folder))
    if 0 < size <= MOST_TEXT:
        return folder
    raise ProgramError(
        keyword, f"{size} bytes", f'a folder of 1 to {MOST_TEXT} bytes, or "off"', "Choose one with a shorter path."
    )


def _check(keyword: str, word: str | None, words: tuple[str, ...], next_step: str) -> None:
    if word is not None and word not in words:
        accepted = " or ".join(f'"{each}"' for each in words)
        raise ProgramError(keyword, repr(word), accepted, next_step)

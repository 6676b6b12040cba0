"""The options of a load that are not about budgets: keywords to what travels."""

from __future__ import annotations

from torchtrt_ws.errors import ProgramError

__all__ = ["switch_options"]

VERIFY = ("checksum", "digest", "off")  # what `verify=` takes
CUDA_GRAPH = ("auto", "on", "off")  # what `cuda_graph=` takes, beside bools


def switch_options(
    *,
    device_id: int | None = None,
    cuda_graph: bool | str | None = None,
    share_engines: bool | None = None,
    share_activation_memory: bool | None = None,
    huge_pages: bool | None = None,
    verify: str | None = None,
) -> dict[str, bool | int | str]:
    """Turns keywords of `load` into the backend's options.

    Args:
        device_id: CUDA device to load on.
        cuda_graph: Whether runs are captured and replayed as CUDA graphs: "auto", a bool, "on" or "off".
        share_engines: Whether the weights of an engine that is loaded already are used.
        share_activation_memory: Whether a program's execution contexts work in one piece of device memory.
        huge_pages: Whether they are asked for, for the memory that large engines are read into.
        verify: "checksum", "digest" or "off".

    Returns:
        Option key to value; None leaves an option out.

    Raises:
        ProgramError: Another word for `verify` or `cuda_graph`.
    """
    _check("verify", verify, VERIFY, "Leave it out for the checksum.")
    if not isinstance(cuda_graph, bool):
        _check("cuda_graph", cuda_graph, CUDA_GRAPH, "Leave it out for what the file says, else off.")
    switches = {
        "device_id": device_id,
        "cuda_graph": cuda_graph,
        "use_shared_engines": share_engines,
        "use_shared_activation_scratch": share_activation_memory,
        "huge_pages": huge_pages,
        "verify": verify,
    }
    return {key: value for key, value in switches.items() if value is not None}


def _check(keyword: str, word: str | None, words: tuple[str, ...], next_step: str) -> None:
    if word is not None and word not in words:
        accepted = " or ".join(f'"{each}"' for each in words)
        raise ProgramError(keyword, repr(word), accepted, next_step)

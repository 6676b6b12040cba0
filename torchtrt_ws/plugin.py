"""`torch_tensorrt.save` with our budgets: switched on and off, and everything else in it as before.

    import torch_tensorrt, torchtrt_ws.plugin

    with torchtrt_ws.plugin.enable():
        torch_tensorrt.save(module, "model.pte", output_format="executorch", weight_streaming_budget="4GiB")

While it is on, a save in the format "executorch" with `weight_streaming_budget=` or
`weight_streaming_budget_per_engine=` is written by torchtrt_ws: budgets as in `torchtrt_ws.save`, any topology, engines
never copied. All other calls are Torch-TensorRT's own. A function that was taken out before
(`from torch_tensorrt import save`) is not changed.
"""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, NamedTuple

from torchtrt_ws import budget
from torchtrt_ws.errors import EngineError, ProgramError
from torchtrt_ws.identifiers import DEFAULT_METHOD

__all__ = ["Enabled", "disable", "enable"]

_FORMAT = "executorch"


class _Budgets(NamedTuple):
    total: Any
    per_engine: Any


# The budgets of the save that runs in this thread: between `save` and the `_save_as_executorch` that it calls.
_budgets: ContextVar[_Budgets | None] = ContextVar("torchtrt_ws_budgets", default=None)

# _lock guards _count and the two attributes of Torch-TensorRT; it is not held while something is saved.
_lock = threading.Lock()
_count = 0
_originals: dict[str, Callable[..., Any]] = {}


class Enabled:
    """What `enable` returns; as a context manager it calls `disable` once, at the end."""

    def __enter__(self) -> Enabled:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        disable()


def enable() -> Enabled:
    """Switches the budgets on in `torch_tensorrt.save`. Counts: as many `disable` switch them off.

    Returns:
        A context manager that switches them off again.

    Raises:
        EngineError: Torch-TensorRT is not installed, or not the version this was written for.

    Source:
        torch_tensorrt/_compile.py (2.14): `save` and `_save_as_executorch`.
    """
    global _count
    package, module = _torch_tensorrt()
    with _lock:
        if _count == 0:
            _originals.update(save=module.save, _save_as_executorch=module._save_as_executorch)
            module._save_as_executorch = _save_as_executorch
            module.save = package.save = _wrapped(module.save)
        _count += 1
    return Enabled()


def disable() -> None:
    """Takes one `enable` back. The last one restores Torch-TensorRT's functions; without any it does nothing."""
    global _count
    package, module = _torch_tensorrt() if _count else (None, None)
    with _lock:
        if _count == 0:
            return
        _count -= 1
        if _count == 0 and package is not None and module is not None:
            package.save = module.save = _originals["save"]
            module._save_as_executorch = _originals["_save_as_executorch"]


def _torch_tensorrt() -> tuple[Any, Any]:
    try:
        package, module = (importlib.import_module(name) for name in ("torch_tensorrt", "torch_tensorrt._compile"))
    except ImportError as error:
        raise EngineError(
            "torchtrt_ws.plugin", str(error), "Torch-TensorRT 2.14", "pip install torch-tensorrt-rtx==2.14.0"
        ) from None
    missing = [name for name in ("save", "_save_as_executorch") if not hasattr(module, name)]
    if missing:
        raise EngineError(
            "torchtrt_ws.plugin",
            f"Torch-TensorRT {getattr(package, '__version__', '?')} without {missing[0]!r}",
            "Torch-TensorRT 2.14",
            "Use torchtrt_ws.save, which needs none of it.",
        )
    return package, module


def _wrapped(save: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(save)
    def with_budgets(*arguments: Any, **keywords: Any) -> Any:
        budgets = _Budgets(keywords.get(budget.KEY), keywords.get(budget.PER_ENGINE_KEYWORD))
        if keywords.get("output_format") != _FORMAT:
            return save(*arguments, **keywords)
        if budgets == (None, None):  # None is no budget, in both keywords; Torch-TensorRT knows one of them
            return save(*arguments, **{key: value for key, value in keywords.items() if key != budget.KEY})
        from torchtrt_ws.export.options import check_budget_forms  # not at the top: `enable` is cheap

        check_budget_forms(*budgets)  # before Torch-TensorRT exports anything
        kept = {key: value for key, value in keywords.items() if key not in (budget.KEY, budget.PER_ENGINE_KEYWORD)}
        token = _budgets.set(budgets)
        try:
            return save(*arguments, **kept)
        finally:
            _budgets.reset(token)

    return with_budgets


def _save_as_executorch(exp_program: Any, file_path: str, **keywords: Any) -> None:
    budgets = _budgets.get()
    if budgets is None:
        _originals["_save_as_executorch"](exp_program, file_path, **keywords)
        return
    from torchtrt_ws.atomic import check_target
    from torchtrt_ws.export.options import SaveOptions, read_compile_specs, read_constant_methods
    from torchtrt_ws.export.save_compiled import save_compiled

    for option in ("partitioners", "compile_specs"):
        if not isinstance(keywords.get(option), list | tuple | None):
            raise ProgramError(option, repr(keywords[option])[:80], "a list or tuple", "Give one.")
    lowering = {
        "transform_passes": _passes(keywords.get("transform_passes")),
        "compile_config": keywords.get("compile_config"),
        **read_constant_methods(keywords.get("constant_methods"), (DEFAULT_METHOD,)),
    }
    options = SaveOptions(
        total=budgets.total,
        per_engine=budgets.per_engine,
        compile_specs=read_compile_specs(keywords.get("compile_specs"), any_device=True),
        placement=None,  # as Torch-TensorRT: the device each engine was built for
        config=keywords.get("backend_config"),
        partitioners=tuple(keywords.get("partitioners") or ()),
        lowering={key: value for key, value in lowering.items() if value is not None},
        etrecord=bool(keywords.get("generate_etrecord")),
    )
    save_compiled(check_target(file_path), {DEFAULT_METHOD: exp_program}, options, xnnpack=False)


def _passes(given: Any) -> Any:
    """Those of the one method there is; exir takes no mapping that is empty or has other methods."""
    if not isinstance(given, Mapping):
        return given
    if others := [name for name in given if name != DEFAULT_METHOD]:
        raise ProgramError("transform_passes", f"a method {others[0]!r}", repr(DEFAULT_METHOD), "Leave it out.")
    return list(given.get(DEFAULT_METHOD) or ()) or None

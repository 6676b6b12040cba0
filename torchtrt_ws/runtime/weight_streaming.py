"""weight_streaming(): other budgets for the time of a `with` block."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from torchtrt_ws.runtime.program import Program

if TYPE_CHECKING:
    from torchtrt_ws.runtime.native import _native

__all__ = ["WeightStreaming", "weight_streaming"]


class WeightStreaming:
    """The budgets of a program while a `with` block runs; made by `weight_streaming`.

    Sizes are bytes. Weights that several engines share count once.
    """

    __slots__ = ("_program", "_saved")  # a misspelt `device_budget` is an error

    def __init__(self, program: Program) -> None:
        self._program = program
        self._saved: list[_native.SavedBudgets] = []  # one for each block that it is in

    @property
    def device_budget(self) -> int:
        """Streamable bytes of all engines that are kept on the device now; read back from the engines.

        It may be set to a `value`: the program's total, in any form that `Program.set_weight_streaming_budget` takes,
        or a mapping from engine name to bytes. The errors are that method's.
        """
        return sum(budget for budget, _ in self._program.weights())

    @device_budget.setter
    def device_budget(self, value: int | str | Mapping[str, int | str | None]) -> None:
        """Changes the budgets of all engines to `value`; see above."""
        if isinstance(value, Mapping):
            self._program.set_weight_streaming_budget(weight_streaming_budget_per_engine=value)
        else:
            self._program.set_weight_streaming_budget(value)

    @property
    def total_device_budget(self) -> int:
        """Streamable bytes of all engines: the budget that keeps everything on the device."""
        return sum(streamable for _, streamable in self._program.weights())

    def get_automatic_weight_streaming_budget(self) -> int:
        """The bytes that "auto" would keep on the device now, all engines together. Changes nothing.

        Returns:
            Bytes. Setting "auto" may keep less by up to a sixteenth of an engine's weights: a new context costs more
            than so little is worth. The scratch memory of a TensorRT engine that never streamed is not known, and not
            counted.

        Raises:
            EngineError: An engine's runtime refused.
        """
        return self._program.automatic_budget()

    def __enter__(self) -> WeightStreaming:
        self._saved.append(self._program.saved_budgets())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.restore_budgets(self._saved.pop())

    def __repr__(self) -> str:
        return f"WeightStreaming({self._program.file!r}, device_budget={self.device_budget})"


def weight_streaming(program: Program) -> WeightStreaming:
    """Gives a program other budgets in a `with` block, as `torch_tensorrt.runtime.weight_streaming` does for modules.

    When the block ends, also by an exception, every engine has the bytes that it had before, decided by whom they were:
    an automatic budget may be moved again by the plan of the program's memory. Blocks may be nested.

    Args:
        program: What `load` returned. Its budgets are those of all threads that share it.

    Returns:
        The context manager: set its `device_budget`, ask its `total_device_budget` and
        `get_automatic_weight_streaming_budget()`.

    Raises:
        CapacityError: At the end of the block: a budget does not fit any more, because somebody took the memory. The
            error names the engine; the other engines have theirs back.
        EngineError: At the end of the block: an engine's runtime refused.

    Example:
        with torchtrt_ws.weight_streaming(program) as ctx:
            ctx.device_budget = ctx.total_device_budget // 2
            (y,) = program(x)
    """
    return WeightStreaming(program)

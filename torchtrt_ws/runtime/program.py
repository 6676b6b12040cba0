"""A loaded program: its methods as callables, its engines as reports."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from torchtrt_ws import budget
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.pte import MethodInfo, ProgramInfo
from torchtrt_ws.runtime.contexts import Contexts
from torchtrt_ws.runtime.engine import Engine, set_priority
from torchtrt_ws.runtime.inputs import checked, describe, to_torch
from torchtrt_ws.runtime.native import _native, translated
from torchtrt_ws.runtime.spending import Spending

__all__ = ["Program"]


class Program:
    """A program in memory; made by `load`. Threads may share it: as many calls run at the same time as it has
    contexts, and the others wait for their turn.

    Example:
        program = torchtrt_ws.load("model.pte", weight_streaming_budget="50%")
        embedding, = program(input_ids, attention_mask)
        print(program.engines[0].budget_bytes, program.engines[0].source)
    """

    def __init__(self, report: ProgramInfo, contexts: Contexts, margin: Mapping[str, str], spending: Spending) -> None:
        self._methods = {method.name: method for method in report.methods}
        self._engine_names = [engine.name for engine in report.engines]
        self._contexts = contexts
        self._margin = dict(margin)
        self._spending = spending
        self.file = report.file

    @property
    def method_names(self) -> tuple[str, ...]:
        """The program's methods, in file order."""
        return tuple(self._methods)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Its engines, in loading order; each of them once, whatever the number of contexts."""
        count = len(self._contexts.engine_ids())
        return tuple(Engine(position, self._contexts, self._margin) for position in range(count))

    def set_weight_streaming_budget(
        self,
        weight_streaming_budget: int | str | None = None,
        *,
        weight_streaming_budget_per_engine: int | str | Mapping[str, int | str | None] | None = None,
        split: str | None = None,
    ) -> None:
        """Changes the budgets of all engines as one: all or none, those that shrink first.

        Waits for the runs in flight; a run that comes later waits for the change.

        Args:
            weight_streaming_budget: The program's total, as for `load`: bytes, "1GiB", "N%", "free-N" or "auto".
            weight_streaming_budget_per_engine: Instead of a total, as for `load`: one value for each engine, or a
                mapping from engine name to bytes; engines that it does not name keep theirs.
            split: As for `load`; None for the one given there. What depends on the device ("auto", "free-N") is then
                two changes: the automatic one, and how that is spent.

        Raises:
            BudgetError: A budget that cannot be read, none or both at once, an unknown engine, a total for several
                engines whose sizes the file does not record, or no profile for the split "latency".
            ProgramError: A profile that is not valid, or of other engines.
            CapacityError: An engine's budget does not fit; the error says the largest that does. All budgets are as
                before.
            EngineError: An engine sleeps, or its runtime refused. All budgets are as before.
        """
        options = budget.program_change_options(
            weight_streaming_budget, weight_streaming_budget_per_engine, self._engine_names
        )
        asked = weight_streaming_budget, weight_streaming_budget_per_engine, split
        spent = self._spending.options(*asked)
        if spent is not None:
            options = spent
        with translated():
            _native.set_budgets(self._budget_ids(), [*options.items(), *self._margin.items()])
        self._spending.after(self._contexts, self._margin, *asked)

    def automatic_budget(self) -> int:
        """The bytes that "auto" would keep on the device now, all engines together. Changes nothing.

        Returns:
            Bytes, with the margin that was given to `load`; see `WeightStreaming`.

        Raises:
            EngineError: An engine's runtime refused.
        """
        margin = self._margin.get(budget.MARGIN_KEY)
        with translated():
            return _native.automatic_budget(self._contexts.engine_ids(), None if margin is None else int(margin))

    def weights(self) -> list[tuple[int, int]]:
        """Budget and streamable bytes of its engines; those that share their weights count once."""
        counted: dict[int, tuple[int, int]] = {}
        for identifier in self._contexts.engine_ids():
            report = _native.engine_report(identifier)
            if counted.keys().isdisjoint(report["shared_with"]):
                counted[identifier] = report["budget_bytes"], report["streamable_bytes"]
        return list(counted.values())

    def saved_budgets(self) -> _native.SavedBudgets:
        """All engines' budgets and who decided them, for `restore_budgets`."""
        return _native.save_budgets(self._budget_ids())

    def restore_budgets(self, saved: _native.SavedBudgets) -> None:
        """Goes back to the budgets of before, those that take less first; `weight_streaming` does it for a block.

        Args:
            saved: What `saved_budgets` returned.

        Raises:
            CapacityError: An engine's budget does not fit any more. The error names the engine; the others have theirs.
            EngineError: An engine's runtime refused. The others have theirs.
        """
        with translated():
            _native.restore_budgets(saved)

    @property
    def priority(self) -> int:
        """Who gives memory first when somebody needs it (`torchtrt_ws.memory`): the lowest. 0 where not set; where its
        engines differ, the highest of theirs."""
        return max((engine.priority for engine in self.engines), default=0)

    @priority.setter
    def priority(self, value: int) -> None:
        """Sets that of all its engines to `value`, an int of 32 bits."""
        set_priority(self._contexts.all_ids(), value)

    @property
    def asleep(self) -> bool:
        """True while all its engines sleep."""
        return all(engine.asleep for engine in self.engines)

    def sleep(self) -> None:
        """Puts all its engines to a budget of 0 and no context, all or none, after the runs in flight.

        What stays on the device are weights that cannot stream (`Engine.device_bytes`), and weights that an engine of
        another program uses too, until that sleeps as well. A call or a change of budget raises `EngineError` until
        `wake`; `weight_streaming` blocks may end meanwhile.

        Raises:
            CapacityError, EngineError: An engine's runtime refused. All are awake, with the budgets they had.
        """
        with translated():
            _native.sleep(self._contexts.all_ids())

    def wake(self) -> None:
        """Wakes all its engines, all or none: the budgets and sources of before.

        An automatic budget that does not fit any more is a smaller one, as at load.

        Raises:
            CapacityError: A budget or a context does not fit; the error says what does. All that slept sleep on.
            EngineError: An engine's runtime refused. All that slept sleep on.
        """
        with translated():
            _native.wake(self._contexts.all_ids())

    def __call__(self, *inputs: Any) -> list[Any]:
        """Runs the method `forward`, or the only one; see `run`."""
        name = "forward" if "forward" in self._methods or len(self._methods) != 1 else next(iter(self._methods))
        return self.run(name, *inputs)

    def run(self, method: str, *inputs: Any) -> list[Any]:
        """Runs one method.

        Args:
            method: Its name.
            inputs: Its tensors in order, in host memory: numpy arrays, torch tensors, or anything with `__dlpack__`.
                Contiguous ones are used where they lie.

        Returns:
            Its outputs, one for each: torch tensors if an input was one, else numpy arrays. They are the caller's.

        Raises:
            ProgramError: No such method, or inputs that do not fit it: number, dtype, shape, or tensors that are not in
                host memory.
            EngineError: The engine failed, or sleeps.
        """
        declared = self._find(method)
        if len(inputs) != len(declared.inputs):
            raise ProgramError(
                f"method {method!r}",
                f"{len(inputs)} inputs",
                f"{len(declared.inputs)}: {describe(declared.inputs)}",
                "Pass one tensor for each.",
            )
        arrays = [checked(method, i, value, declared.inputs[i]) for i, value in enumerate(inputs)]
        with translated(), self._contexts.taken() as native:
            outputs: list[Any] = native.execute(method, arrays)
        torch = sys.modules.get("torch")  # a torch tensor cannot be here without it
        if torch is not None and any(isinstance(value, torch.Tensor) for value in inputs):
            return [to_torch(torch, output) for output in outputs]
        return outputs

    def zeros(self, method: str = "forward") -> list[Any]:
        """Inputs of zeros, in the largest shapes that the method declares: enough to see that it runs, and how fast.

        Args:
            method: Its name.

        Returns:
            One numpy array for each input.

        Raises:
            ProgramError: No such method, or an input of a dtype that numpy does not have.
        """
        arrays = []
        for position, value in enumerate(self._find(method).inputs):
            try:
                arrays.append(np.zeros(value.shape or (), dtype=value.dtype))
            except TypeError:
                raise ProgramError(
                    f"input {position} of {method!r}", str(value.dtype), "a dtype of numpy", "Pass the inputs yourself."
                ) from None
        return arrays

    def etdump(self) -> bytes:
        """What the load and the runs since then did, or since the last call: each stage with its time.

        Of each engine, as events of its delegate with the engine's name as metadata: parse, read, verify, deserialize,
        budget and context at load, copy in, enqueue and copy out in each run (a host engine's: execute and page out).
        Times are the host's: of the work on a device, "copy out" has the wait for it.

        Returns:
            ExecuTorch's ETDump; `executorch.devtools.Inspector` reads a file of it. Empty where nothing happened.

        Raises:
            ProgramError: The program was not loaded with `etdump=True`.
        """
        with self._contexts.taken() as native, translated():
            return native.etdump()

    def _budget_ids(self) -> list[int]:
        return self._contexts.with_budgets(self._contexts.engine_ids())

    def _find(self, method: str) -> MethodInfo:
        found = self._methods.get(method)
        if found is None:
            raise ProgramError(
                self.file, f"a call of method {method!r}", f"one of {', '.join(self._methods)}", "Mend the name."
            )
        return found

    def __repr__(self) -> str:
        return f"Program({self.file!r}, methods={list(self._methods)}, engines={[e.name for e in self.engines]})"

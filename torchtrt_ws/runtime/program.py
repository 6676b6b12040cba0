"""A loaded program: its methods as callables, its engines as reports."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np

from torchtrt_ws import budget
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.pte import MethodInfo, ProgramInfo
from torchtrt_ws.runtime.contexts import Contexts
from torchtrt_ws.runtime.engine import Engine, set_priority
from torchtrt_ws.runtime.inputs import numpy_dtype
from torchtrt_ws.runtime.method import Method
from torchtrt_ws.runtime.native import _native, translated
from torchtrt_ws.runtime.new_weights import new_weights
from torchtrt_ws.runtime.outputs import Outputs
from torchtrt_ws.runtime.signature import Signature, TensorSpec, tensor_specs
from torchtrt_ws.runtime.spending import Spending

__all__ = ["Program"]


class Program:
    """A program in memory; made by `load`. Threads may share it: as many calls run at the same time as it has
    contexts, and the others wait for their turn.

    Example:
        with torchtrt_ws.load("model.pte", weight_streaming_budget="50%") as program:
            embedding, = program(input_ids, attention_mask=mask)
            print(program.engines[0].budget_bytes, program.engines[0].source)
    """

    def __init__(self, report: ProgramInfo, contexts: Contexts, margin: Mapping[str, str], spending: Spending) -> None:
        self.file = report.file
        devices = _devices(contexts)
        self._methods = {
            method.name: Method(
                _signature(method, devices.get(method.name)), contexts, devices.get(method.name), self.file
            )
            for method in report.methods
        }
        self._default = (
            "forward" if "forward" in self._methods or len(self._methods) != 1 else next(iter(self._methods))
        )
        self._engine_names = [engine.name for engine in report.engines]
        self._contexts = contexts
        self._margin = dict(margin)
        self._spending = spending

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

    def refit(self, weights: Mapping[str, Any], *, engine: str | None = None) -> None:
        """Gives its engines other weights: all of these, or none when something fails.

        Calls in flight end first, later ones wait and see the new weights. Budgets stay; engines that sleep wake with
        the new weights. A host engine takes none, a TensorRT one if it was built for that (`Engine.refittable`):
        with `save(..., engine="tensorrt_rtx", refit=True)`, or a plan with `BuilderFlag.REFIT`. The weights are copied,
        and the copies stay in host memory while the program is loaded: they go back when a later refit fails.

        Args:
            weights: Those that change, one at least: name, as `Engine.refittable_weights` has it, to an array or tensor
                in host memory, with the dtype and the number of elements that the engine says, and row by row as it was
                built.
            engine: The name of the engine that takes them. None: each weight is one that exactly one engine knows.
                Engines that share their weights are one.

        Raises:
            ProgramError: A weight that no engine knows, or several; of another dtype or size, or on a device; none at
                all; weights that TensorRT cannot change without others; an unknown engine. Nothing has changed.
            EngineError: No engine that takes weights, or one whose weights another program shares (load with
                `share_engines=False`): nothing has changed. TensorRT failed: the weights of before are back where they
                are known, from an earlier refit or the mapped data file; else the engine refuses to run until these
                weights are given again, and the error says so. The program was closed.
            CapacityError: No memory; the weights as above.
        """
        self._contexts.refit(new_weights(weights), engine)

    def reset_state(self) -> None:
        """Makes the buffers that calls change, such as a cache of keys and values, what they were before the first.

        Waits for the calls before it. Programs that keep nothing stay as they are.

        Raises:
            EngineError: An engine's runtime failed, or the program was closed.
        """
        with translated():
            _native.reset_state(self._contexts.all_ids())

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

    def __call__(self, /, *inputs: Any, out: Any = None, **named: Any) -> Outputs:
        """Runs the method `forward`, or the only one; see `run`."""
        return self._find(self._default).call(inputs, named, out)

    def run(self, method: str, /, *inputs: Any, out: Any = None, **named: Any) -> Outputs:
        """Runs one method.

        Tensors are used where they lie, if they are contiguous and where the program wants them
        (`signature(method).inputs`): in host memory, or on the engine's device for a program that was saved with
        `device_io=True`. There nothing goes through the host, and the work goes to the stream that is current in the
        caller's library, torch or CuPy: the call returns before it is done, as theirs do. Tensors of other libraries
        with `__dlpack__` are waited for. Whatever is elsewhere is copied in each call, which a log line says once.

        Args:
            method: Its name.
            inputs: Its tensors in order: numpy arrays (`ml_dtypes` for bfloat16 and float8), torch tensors, CuPy
                arrays, anything with `__dlpack__`; or numbers and lists of numbers, which take the declared dtype.
            out: Memory for the outputs: a sequence with one tensor for each, None for new memory; or a mapping from
                output name to tensor. They have the output's dtype and shape, and may lie anywhere.
            named: Inputs by the names of the signature.

        Returns:
            A list of its outputs, in order, by position or name: where the inputs are (on the device if one of them is)
            and of their library; torch tensors if an input was one, else numpy arrays. They are the caller's.

        Raises:
            ProgramError: No such method, or inputs that do not fit it: number, name, dtype, shape, or device.
            EngineError: The engine failed, or sleeps; or the program was closed.
        """
        return self._find(method).call(inputs, named, out)

    def signature(self, method: str | None = None) -> Signature:
        """Names, dtypes, shapes and devices of what a method takes and gives.

        Args:
            method: Its name; None is the one that calling the program runs.

        Raises:
            ProgramError: No such method.
        """
        return self._find(self._default if method is None else method).signature

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What calling the program takes, in order."""
        return self.signature().inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What calling the program gives, in order."""
        return self.signature().outputs

    def close(self) -> None:
        """Unloads it, after the calls that came before: when this returns, what it alone used is free.

        Later calls, changes and reports raise `EngineError`. A second `close` does nothing.
        """
        self._contexts.close()
        for method in self._methods.values():
            method.release()

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def zeros(self, method: str | None = None) -> list[Any]:
        """Inputs of zeros, in the largest shapes that the method declares: enough to see that it runs, and how fast.

        Args:
            method: Its name; None is the one that calling the program runs.

        Returns:
            One numpy array for each input, of `ml_dtypes`' dtypes for bfloat16 and float8; zero for a number.

        Raises:
            ProgramError: No such method, or an input of a dtype that numpy does not have.
            EngineError: `ml_dtypes` is needed and not installed.
        """
        arrays: list[Any] = []
        for spec in self.signature(method).inputs:
            if spec.shape is None:
                arrays.append(0)
                continue
            try:
                arrays.append(np.zeros(spec.shape, numpy_dtype(spec.dtype)))
            except TypeError:
                subject = f"input {spec.name!r} of {method or self._default!r}"
                raise ProgramError(subject, spec.dtype, "a dtype of numpy", "Pass the inputs yourself.") from None
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

    def _find(self, method: str) -> Method:
        found = self._methods.get(method)
        if found is None:
            raise ProgramError(
                self.file, f"a call of method {method!r}", f"one of {', '.join(self._methods)}", "Mend the name."
            )
        return found

    def __repr__(self) -> str:
        return f"Program({self.file!r}, methods={list(self._methods)}, engines={self._engine_names})"


def _devices(contexts: Contexts) -> dict[str, int]:
    """Methods whose engines are on a GPU, and on which, as CUDA counts them."""
    found: dict[str, int] = {}
    for identifier in contexts.engine_ids():
        report = _native.engine_report(identifier)
        kind, _, index = report["device"].partition(":")
        if kind == "cuda":
            found.setdefault(report["method"], int(index))
    return found


def _signature(method: MethodInfo, device: int | None) -> Signature:
    place = None if device is None else f"cuda:{device}"
    return Signature(
        method.name, tensor_specs(method.inputs, "input", place), tensor_specs(method.outputs, "output", place)
    )

"""One loaded engine, as a program reports it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torchtrt_ws import budget
from torchtrt_ws.errors import EngineError, ProgramError
from torchtrt_ws.runtime.contexts import Contexts
from torchtrt_ws.runtime.native import _native, translated

__all__ = ["Engine", "set_priority"]

_FIELDS = (
    "name",
    "method",
    "kind",
    "device",
    "variant",
    "streamable_bytes",
    "budget_bytes",
    "wanted_bytes",
    "source",
    "scratch_bytes",
    "device_bytes",
    "priority",
    "asleep",
    "refittable",
    "runs",
    "seconds",
    "streamed_bytes",
    "streamed_bytes_per_second",
    "clipped",
    "ladder_steps",
    "graph_hits",
    "cache_hits",
    "cache_misses",
    "context_seconds",
)


# What each context of the engine has or counts itself.
_OF_EACH_CONTEXT = (
    "scratch_bytes", "device_bytes", "runs", "seconds", "streamed_bytes", "streamed_bytes_per_second", "ladder_steps",
    "graph_hits", "cache_hits", "cache_misses", "context_seconds",
)  # fmt: skip


def set_priority(ids: list[int], value: int) -> None:
    """Makes the engines `ids` as important as `value` says.

    Raises:
        ProgramError: No int of 32 bits.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**31) <= value < 2**31:
        raise ProgramError("priority", value, "an int from -2^31 to 2^31-1", "0 is what engines have.")
    with translated():
        _native.set_priority(ids, value)


class Engine:
    """A live view of one engine of a loaded `Program`: each read asks the engine. Sizes are bytes.

    In a program of several contexts it is the engine of all of them: weights and budget are there once; runs, seconds,
    scratch and device memory are of all contexts together.
    """

    def __init__(self, position: int, contexts: Contexts, margin: Mapping[str, str]) -> None:
        self._ids = contexts.ids_of(position)
        self._contexts = contexts  # an engine lives as long as its program
        self._margin = margin  # the option given at load: it holds for each change

    def _report(self) -> dict[str, Any]:
        report, *others = map(_native.engine_report, self._ids)
        if report["id"] == 0:
            raise EngineError("engine", "a program that was closed", "one that is loaded", "Load it again.")
        report["variant"] = report["variant"] or None
        for name in _OF_EACH_CONTEXT:
            # The contexts of a host engine map the same pages.
            combine = max if (name, report["kind"]) == ("device_bytes", "host") else sum
            report[name] = combine([report[name], *(other[name] for other in others)])
        return report

    def _field(self, name: str) -> Any:
        return self._report()[name]

    @property
    def name(self) -> str:
        """The engine's name in the program."""
        return cast(str, self._field("name"))

    @property
    def method(self) -> str:
        """The ExecuTorch method it belongs to."""
        return cast(str, self._field("method"))

    @property
    def kind(self) -> str:
        """Its adapter: "host" or "tensorrt"."""
        return cast(str, self._field("kind"))

    @property
    def device(self) -> str:
        """Whose memory it takes: "cuda:0", or "cpu"."""
        return cast(str, self._field("device"))

    @property
    def variant(self) -> str | None:
        """Which plan of an engine with several runs: "2 of 3 (compute capability 9.0, tensorrt_rtx 1.6.1)".

        None where it has one plan. `torchtrt-ws inspect` numbers them alike.
        """
        return cast("str | None", self._field("variant"))

    @property
    def streamable_bytes(self) -> int:
        """Weights that can stay in host memory; 0 if it was not built with weight streaming."""
        return cast(int, self._field("streamable_bytes"))

    @property
    def budget_bytes(self) -> int:
        """Of these, kept on the device; read back from the engine."""
        return cast(int, self._field("budget_bytes"))

    @property
    def wanted_bytes(self) -> int:
        """The budget before `memory.make_room`, the headroom or `sleep` took of it."""
        return cast(int, self._field("wanted_bytes"))

    @property
    def source(self) -> str:
        """Who decided the budget; of an engine that sleeps, the one that it will wake to.

        "load-time (engine)", "load-time", "process default" (`set_defaults`), "environment", "baked", "automatic",
        "make-room", "headroom" or "none".
        """
        return cast(str, self._field("source"))

    @property
    def scratch_bytes(self) -> int:
        """Device memory that streaming needs beside the budget, for all contexts."""
        return cast(int, self._field("scratch_bytes"))

    @property
    def device_bytes(self) -> int:
        """On the device now: weights, scratch and contexts. For the host engine: weights resident in this process."""
        return cast(int, self._field("device_bytes"))

    @property
    def shared_with(self) -> tuple[str, ...]:
        """Names of the other engines on the same weights, of this program and others: a budget is for all of them."""
        contexts = self._contexts.beside_the_first()
        others = [identifier for identifier in self._field("shared_with") if identifier not in contexts]
        names = (_native.engine_report(identifier)["name"] for identifier in others)
        return tuple(name for name in names if name)  # one that has gone meanwhile has none

    @property
    def priority(self) -> int:
        """Who gives memory first when somebody needs it (`torchtrt_ws.memory`): the lowest; 0 where not set."""
        return cast(int, self._field("priority"))

    @priority.setter
    def priority(self, value: int) -> None:
        """Sets it to `value`, an int of 32 bits."""
        set_priority(self._ids, value)

    @property
    def asleep(self) -> bool:
        """True from `sleep` until `wake`."""
        return cast(bool, self._field("asleep"))

    def sleep(self) -> None:
        """Puts it to a budget of 0 and no context, after the runs in flight; see `Program.sleep`.

        Raises:
            CapacityError, EngineError: As `Program.sleep`.
        """
        with translated():
            _native.sleep(self._ids)

    def wake(self) -> None:
        """Restores the budget of before; see `Program.wake`.

        Raises:
            CapacityError, EngineError: As `Program.wake`.
        """
        with translated():
            _native.wake(self._ids)

    @property
    def runs(self) -> int:
        """Calls that succeeded, in whichever context."""
        return cast(int, self._field("runs"))

    @property
    def seconds(self) -> float:
        """Time spent in these calls; those that ran at the same time add up."""
        return cast(float, self._field("seconds"))

    @property
    def streamed_bytes(self) -> int:
        """Weights that these calls streamed to the device: computed, streamable less budget for each."""
        return cast(int, self._field("streamed_bytes"))

    @property
    def streamed_bytes_per_second(self) -> float:
        """What calls that waited for their work streamed, over the time that they took; contexts add up. 0 where
        nothing streamed."""
        return cast(float, self._field("streamed_bytes_per_second"))

    @property
    def clipped(self) -> bool:
        """True where the budget was asked larger than `streamable_bytes`, when it was last decided."""
        return cast(bool, self._field("clipped"))

    @property
    def ladder_steps(self) -> int:
        """Automatic budgets that did not fit before a smaller one did, since it was loaded."""
        return cast(int, self._field("ladder_steps"))

    @property
    def graph_hits(self) -> int:
        """Runs that replayed a captured CUDA graph."""
        return cast(int, self._field("graph_hits"))

    @property
    def cache_hits(self) -> int:
        """Loads that found what they prepare, packed weights or compiled kernels, in a cache on disk."""
        return cast(int, self._field("cache_hits"))

    @property
    def cache_misses(self) -> int:
        """Loads that prepared it, and left it in the cache."""
        return cast(int, self._field("cache_misses"))

    @property
    def context_seconds(self) -> float:
        """What making its last execution context took, in seconds: TensorRT-RTX compiles kernels then."""
        return cast(float, self._field("context_seconds"))

    @property
    def refittable(self) -> bool:
        """Whether `Program.refit` takes weights for it."""
        return cast(bool, self._field("refittable"))

    def refittable_weights(self) -> dict[str, tuple[str, int]]:
        """The weights that `Program.refit` takes for it: name to dtype and number of elements. Waits for a run in
        flight.

        Raises:
            EngineError: It takes none, and the error says what would; or the program was closed.
        """
        with translated():
            return {name: (dtype, count) for name, dtype, count in _native.refittable_weights(self._ids[0])}

    def set_budget(self, value: int | str) -> None:
        """Changes this engine's budget now: waits for a run in flight, and goes back to the old one if it fails.

        Args:
            value: Bytes, a size such as "1GiB", "auto", "N%", or "free-N".

        Raises:
            BudgetError: A value that cannot be read.
            CapacityError: It does not fit; the error says what does.
            EngineError: The engine is gone or sleeps, or its runtime refused.
        """
        options = {**budget.change_options(value), **self._margin}
        with translated():
            _native.set_budgets(self._contexts.with_budgets(self._ids[:1]), list(options.items()))

    def as_dict(self) -> dict[str, Any]:
        """All fields at one moment, with the keys of `torchtrt-ws run --json`."""
        report = self._report()
        return {name: report[name] for name in _FIELDS}

    def __repr__(self) -> str:
        try:
            fields = self.as_dict()
        except EngineError:
            return "Engine(closed)"
        return f"Engine({', '.join(f'{name}={value!r}' for name, value in fields.items())})"

"""What a method takes and gives: names, dtypes and shapes, and how arguments are bound to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.pte import ValueInfo

__all__ = ["Signature", "TensorSpec", "describe", "tensor_specs"]


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a method.

    Args:
        name: As the method's signature had it when it was saved; "input0", "output0", ... where the file does not tell.
        dtype: torch's name without "torch."; of a value that is no tensor, its type: "int", "double", "bool".
        shape: Its sizes; upper bounds where `dynamic`. None: no tensor.
        dynamic: Whether the shape varies.
        device: Where the program wants it, or leaves it: "cpu", "cuda:0".
        planned: Whether it is in memory of the program, so that inputs and outputs are copied; else in the caller's.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    dynamic: bool = False
    device: str = "cpu"
    planned: bool = False

    @property
    def is_tensor(self) -> bool:
        """False for a number."""
        return self.shape is not None

    def __str__(self) -> str:
        return self.dtype if self.shape is None else f"{self.dtype}{'<=' if self.dynamic else ''}{list(self.shape)}"

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether a tensor may have this `shape`; the engine knows lower bounds."""
        if not self.dynamic:
            return shape == self.shape or tuple(shape) == self.shape
        most = self.shape or ()
        return len(shape) == len(most) and all(found <= bound for found, bound in zip(shape, most, strict=True))


def describe(specs: Sequence[TensorSpec]) -> str:
    """`specs` for people: "float32[2, 1024]", and "<=" where a shape is an upper bound."""
    return ", ".join(map(str, specs))


def tensor_specs(values: Sequence[ValueInfo], role: str, device: str | None) -> tuple[TensorSpec, ...]:
    """The specs of one side of a method.

    Args:
        values: What the file says.
        role: "input" or "output", for names that it does not record.
        device: Where the method's engines are, if they are on a GPU: what the program has on a device is there.
    """
    return tuple(
        TensorSpec(
            value.name or f"{role}{position}",
            value.dtype or value.type,
            value.shape,
            value.dynamic,
            "cpu" if value.device is None else device or value.device,
            value.planned,
        )
        for position, value in enumerate(values)
    )


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a method, in calling order."""

    method: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @cached_property
    def input_names(self) -> tuple[str, ...]:
        """In order."""
        return tuple(spec.name for spec in self.inputs)

    def bind(self, given: Sequence[Any], named: Mapping[str, Any]) -> Sequence[Any]:
        """One value for each input, as Python binds arguments.

        Args:
            given: By position.
            named: By name.

        Raises:
            ProgramError: Too many or too few, a name that no input has, or one twice.
        """
        names = self.input_names
        if not named and len(given) == len(names):
            return given
        if not given and len(named) == len(names):
            try:
                return list(map(named.__getitem__, names))
            except KeyError:
                pass  # said below
        for name in named:
            if name not in names:
                raise self._refused(f"an input {name!r}", f"{', '.join(names)}", "Mend the name.")
        if len(given) > len(names):
            raise self._wrong_number(len(given) + len(named))
        by_name = dict(zip(names, given, strict=False))
        for name in named:
            if name in by_name:
                raise self._refused(f"input {name!r} by position and by name", "one of the two", "Leave one out.")
        by_name.update(named)
        missing = [name for name in names if name not in by_name]
        if missing and named:
            raise self._refused(f"nothing for {', '.join(missing)}", "a value for each input", "Pass them as well.")
        if missing:
            raise self._wrong_number(len(given))
        return [by_name[name] for name in names]

    def output_position(self, name: str) -> int:
        """Where the output `name` is.

        Raises:
            ProgramError: No output has that name.
        """
        for position, spec in enumerate(self.outputs):
            if spec.name == name:
                return position
        names = ", ".join(spec.name for spec in self.outputs)
        raise self._refused(f"an output {name!r}", names, "Mend the name.")

    def _wrong_number(self, count: int) -> ProgramError:
        expected = f"{len(self.inputs)}: " + ", ".join(f"{spec.name}: {spec}" for spec in self.inputs)
        return self._refused(f"{count} inputs", expected, "Pass one tensor for each.")

    def _refused(self, found: str, expected: str, next_step: str) -> ProgramError:
        return ProgramError(f"method {self.method!r}", found, expected, next_step)

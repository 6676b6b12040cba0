"""Tensors of a plan that its engine keeps from call to call. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torchtrt_ws.blob import StateTensor, TensorFacts
from torchtrt_ws.errors import ProgramError

__all__ = ["take_state"]


def take_state(
    subject: str, state: Any, inputs: Sequence[TensorFacts], outputs: Sequence[TensorFacts]
) -> tuple[StateTensor, ...]:
    """Reads the keyword `state` of `save_plan` for one engine.

    Args:
        subject: What an error names.
        state: A mapping from the name of an input to that of the output it becomes; None for no state.
        inputs: All that the plan takes.
        outputs: All that it gives.

    Returns:
        The state, in the order given.

    Raises:
        ProgramError: No mapping of names, a tensor that the plan does not have or that is there twice, a size that
            varies, an output of another dtype or shape than its input; or no other input or output.
    """
    if state is None:
        return ()
    if not isinstance(state, Mapping):
        raise _refused(subject, f"a {type(state).__name__}", "a mapping from an input's name to an output's")
    takes, gives = ({tensor.name: tensor for tensor in side} for side in (inputs, outputs))
    found = []
    for name, output in state.items():
        before, after = takes.pop(name, None), gives.pop(output, None)
        if before is None or after is None:
            missing = repr(name) if before is None else repr(output)
            among = inputs if before is None else outputs
            raise _refused(subject, missing, "each once, of " + ", ".join(repr(tensor.name) for tensor in among))
        if -1 in before.shape:
            raise _refused(f"{subject} {name!r}", f"shape {list(before.shape)}", "state of a fixed size")
        if (before.dtype, before.shape) != (after.dtype, after.shape):
            raise _refused(
                f"{subject} {name!r}",
                f"{before.dtype}{list(before.shape)} that becomes {after.dtype}{list(after.shape)}",
                "one dtype and shape before and after a call",
            )
        found.append(StateTensor(name, output, before.dtype, before.shape))
    if found and not (takes and gives):
        raise _refused(subject, "nothing else", "an input and an output of the method besides it")
    return tuple(found)


def _refused(subject: str, found: str, expected: str) -> ProgramError:
    return ProgramError(subject, found, expected, 'Write state={"cache": "cache_after"}: an input and what it becomes.')

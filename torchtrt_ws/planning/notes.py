"""What a plan does not know, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torchtrt_ws.planning.model import ProgramModel
from torchtrt_ws.planning.prediction import BOUND, Prediction

__all__ = ["notes_of"]


def notes_of(model: ProgramModel, budgets: Mapping[str, int], time: Prediction | None) -> list[str]:
    """What is not known of a program, and what was therefore not counted.

    Args:
        model: The program.
        budgets: What its engines get, in bytes.
        time: What a call takes with these; None if that cannot be told.
    """
    notes = list(model.notes)
    streaming = [each for each in model.engines if model.budget_of(each, budgets) < each.streamable]
    if unknown := [each.info.name for each in streaming if each.scratch is None]:
        notes.append(f"The scratch of {_names(unknown)} is not recorded and not counted: it will need more.")
    if estimated := [each.info.name for each in streaming if each.scratch_estimated]:
        notes.append(f"The scratch of {_names(estimated)} is an estimate of the export.")
    if unknown := [each.info.name for each in model.engines if each.context is None]:
        notes.append(f"The execution context of {_names(unknown)} is not measured and not counted.")
    if guessed := [each.info.name for each in model.engines if each.estimated]:
        notes.append(f"The streamable size of {_names(guessed)} is an estimate.")
    if time is None:
        why = "a profile" if model.speed is not None else "a profile, or a bandwidth for a bound,"
        notes.append(f"The latency cannot be told: {why} is needed.")
    elif time.basis == BOUND:
        notes.append(_bound(model))
    if time is not None and model.gpus:
        notes.append(f"The times are those of {' and '.join(model.gpus)}: another GPU has others.")
    if model.is_measured and model.speed is not None:
        notes.append("The bandwidth is not used: the profile has measured times.")
    return notes


def _bound(model: ProgramModel) -> str:
    if not model.is_measured:
        return "The latency is a bound: what is streamed at that bandwidth, without what is computed."
    if unmeasured := [each.info.name for each in model.engines if not each.points]:
        return f"The latency is a bound: {_names(unmeasured)} is not measured."
    return "The latency is a bound: the profile has no second batch size to tell this one from."


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"

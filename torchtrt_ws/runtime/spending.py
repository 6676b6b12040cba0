"""Derived budgets of one program, by its profile: before it is loaded where they are known then, else after."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torchtrt_ws.budget import MAX_BYTES, Budget, Bytes, Percent
from torchtrt_ws.budget import profile as profiles
from torchtrt_ws.budget import spend as spends
from torchtrt_ws.budget.latency import worth_using
from torchtrt_ws.budget.profile import EngineFacts, EngineProfile, Point, Profile
from torchtrt_ws.errors import BudgetError, CapacityError, ProgramError
from torchtrt_ws.gpus import gpu_name
from torchtrt_ws.pte import ProgramInfo
from torchtrt_ws.runtime.contexts import Contexts
from torchtrt_ws.runtime.native import _native, translated

__all__ = ["Spending"]

_LOG = logging.getLogger(__name__)
_MOST_TRIES = 64  # to find a split that takes no more of the device; each takes less than the one before


class Spending:
    """How the derived budgets of a program are spent. Without a profile it changes nothing.

    Its methods take `budget` and `each`, the two budget keywords of `load`, which are checked already; and `split`,
    None for the one that was given at load.

    Args:
        file: The path of the .pte.
        report: What is in it.
        split: "latency", "proportional" or None, for each call that gives none.
        given: The profile: its path, the values of its JSON, or None to look beside the program.
        trusting: True to look there only for "latency": the profile of a signed program is not signed.
    """

    def __init__(
        self,
        file: str | os.PathLike[str],
        report: ProgramInfo,
        split: str | None = None,
        given: str | os.PathLike[str] | Mapping[str, object] | Profile | None = None,
        trusting: bool = False,
    ) -> None:
        spends.check_split(split, None, given)
        self._file, self._split, self._trusting = os.fspath(file), split, trusting
        self._count = len(report.engines)
        facts = (EngineFacts(e.name, e.sha256, e.streamable_bytes, e.streamable_estimated) for e in report.engines)
        self._facts = {each.name: each for each in facts if each.streamable_bytes != 0 or each.estimated}
        self._told: set[str] = set()
        self._measured = None if given is None else self._read(given)
        if given is None and split is None and not trusting:
            self._measured = self._beside_if_it_is_good()

    def options(
        self, budget: int | str | None, each: int | str | Mapping[str, Any] | None, split: str | None = None
    ) -> dict[str, str] | None:
        """The backend's options where `budget` or `each` says how many bytes; None where the usual ones will do.

        Raises:
            BudgetError: A `split` that is unknown or has nothing to split; no profile for "latency".
            ProgramError: A profile that is not valid, or of another program.
        """
        form, engines, split = self._asked(budget, each, split)
        if engines is None or not isinstance(form, Bytes | Percent):
            return None
        total, plain = spends.settled(form, engines)
        parts = spends.spend(total, plain, engines, split)
        if split != "latency" and parts == plain:
            return None
        self._tell(_LOG.info, "budgets by the profile: %s", parts)
        return spends.engine_options({name: self._bytes(name, part, engines) for name, part in parts.items()})

    def after(
        self,
        contexts: Contexts,
        margin: Mapping[str, str],
        budget: int | str | None,
        each: int | str | Mapping[str, Any] | None,
        split: str | None = None,
    ) -> None:
        """Spends what only the loaded engines know: automatic budgets, and totals over engines that share weights.

        An automatic plan that cannot be bettered in the memory it takes stays.

        Args:
            contexts: The program's engines.
            margin: The option that goes with each change.

        Raises:
            CapacityError: A total does not fit. Budgets are as before.
            EngineError: An engine's runtime refused. Budgets are as before.
        """
        form, engines, split = self._asked(budget, each, split)
        if engines is None or form is None:
            return
        automatic = spends.is_automatic(form)
        ids, own = contexts.engine_ids(), contexts.beside_the_first()
        reports = {}
        for number in ids:
            report = _native.engine_report(number)
            sharers = [other for other in report["shared_with"] if other not in own]  # without its other contexts
            reports[number] = {**report, "shared_with": sharers}
        groups = _groups(reports, engines, keep_baked=split != "latency")
        shared = sum(map(len, groups)) == len(engines) > len(groups)  # bytes given for all, of which some were spared
        if not groups or not (automatic or (shared and split == "latency")):
            return
        merged = {group[0]["name"]: _together([engines[each["name"]] for each in group]) for group in groups}
        before = {group[0]["name"]: int(group[0]["budget_bytes"]) for group in groups}
        if automatic:
            parts = _within_the_same_memory(before, merged, split)
        else:
            assert isinstance(form, Bytes | Percent)
            parts = spends.spend(*spends.settled(form, merged), merged, split)
        changed = {name: part for name, part in parts.items() if part != before[name]}  # the others keep their source
        if not changed:
            return
        self._tell(_LOG.info, "automatic budgets by the profile: %s", changed)
        options = spends.engine_options({name: self._bytes(name, part, engines) for name, part in changed.items()})
        try:
            with translated():
                _native.set_budgets(contexts.with_budgets(ids), [*options.items(), *margin.items()])
        except CapacityError as error:
            if not automatic:
                raise
            self._tell(_LOG.info, "automatic budgets stay as they were: %s", error)

    def tell_steps(self, contexts: Contexts) -> None:
        """Tells the engines what of their budgets is worth it: `torchtrt_ws.memory` shrinks and grows them along that.

        Args:
            contexts: The program's engines.
        """
        for identifier in contexts.all_ids():
            engine = (self._measured or {}).get(_native.engine_report(identifier)["name"])
            if engine is not None:
                _native.set_steps(identifier, [point.budget_bytes for point in worth_using(engine.points)])

    def _asked(
        self, budget: int | str | None, each: int | str | Mapping[str, Any] | None, split: str | None
    ) -> tuple[Budget | None, Mapping[str, EngineProfile] | None, str | None]:
        split = (split or self._split) if each is None else split  # what is for each engine is not split
        spends.check_split(split, each, None)
        if split == "proportional":
            return None, None, split
        if split == "latency" and self._measured is None:
            self._measured = self._read(profiles.beside(self._file), "split")
        return spends.derived_form(budget, each, split, self._count), self._measured, split

    def _bytes(self, name: str, part: int, engines: Mapping[str, EngineProfile]) -> int:
        """One byte under all is worse than all: where the file only estimates these, as many as there are."""
        facts, streamable = self._facts[name], engines[name].streamable_bytes
        exact = facts.streamable_bytes == streamable and not facts.estimated
        return part if exact or part < streamable else MAX_BYTES

    def _read(
        self, given: str | os.PathLike[str] | Mapping[str, object] | Profile, asked: str = "profile"
    ) -> dict[str, EngineProfile]:
        """The measured engines by name. `asked`: the option that needs it."""
        subject = "profile"
        if isinstance(given, Profile):
            found = given
        elif isinstance(given, Mapping):
            found = Profile.parse(given)
        else:
            subject = os.fspath(given)
            if not os.path.exists(given):
                next_step = "Measure the program, or give the profile's path."
                raise BudgetError(asked, f"no file {subject!r}", f"the profile of {self._file}", next_step)
            found = Profile.read(given)
        measured = found.of(list(self._facts.values()), subject)
        self._compare_gpus(measured.values(), subject)
        return {name: engine for name, engine in measured.items() if engine.streamable_bytes > 0}

    def _beside_if_it_is_good(self) -> dict[str, EngineProfile] | None:
        """Nobody asked for it: one that is out of date must not keep a program from loading."""
        path = profiles.beside(self._file)
        if not os.path.exists(path):  # which is False too where such a name is too long
            return None
        try:
            return self._read(path)
        except ProgramError as error:
            self._tell(_LOG.warning, "the profile beside it is not used: %s", error)
            return None

    def _compare_gpus(self, engines: Iterable[EngineProfile], subject: str) -> None:
        """Says it of times that are another GPU's: the budgets still fit, but others may be faster."""
        here = gpu_name("cuda")
        others = sorted({each.gpu for each in engines if here and each.gpu not in ("", here)})
        if others:
            text = f"{subject} was measured on {', '.join(others)}, and this is {here}; run torchtrt-ws bench here"
            self._tell(_LOG.warning, "budgets go by the times of another GPU: %s", text)

    def _tell(self, log: Callable[..., None], message: str, what: object) -> None:
        """Once for each kind of message: a loop that changes budgets is no news each time."""
        if message not in self._told:
            self._told.add(message)
            log("%s: " + message, self._file, what)


def _groups(
    reports: Mapping[int, dict[str, Any]], engines: Mapping[str, EngineProfile], keep_baked: bool
) -> list[list[dict[str, Any]]]:
    """Reports of the engines whose budgets may move, those on the same weights together."""
    groups: list[list[dict[str, Any]]] = []
    seen: set[int] = set()
    for number, report in reports.items():
        if number in seen:
            continue
        numbers = [number, *report["shared_with"]]
        seen.update(numbers)
        if any(other not in reports for other in numbers):
            continue  # their budget is another program's too, which was first
        group = [reports[other] for other in numbers]
        if any(each["name"] not in engines or each["source"] == "none" for each in group):
            continue
        if not keep_baked or all(each["source"] != "baked" for each in group):
            groups.append(group)
    return groups


def _together(engines: Sequence[EngineProfile]) -> EngineProfile:
    """Engines on the same weights as one: the budgets at which all were measured, the time of all their calls."""
    first = engines[0]
    times = [{point.budget_bytes: point.milliseconds for point in engine.points} for engine in engines]
    points = tuple(
        Point(each.budget_bytes, each.device_bytes, sum(time[each.budget_bytes] for time in times))
        for each in first.points
        if all(each.budget_bytes in time for time in times)
    )
    return replace(first, points=points)


def _within_the_same_memory(
    before: Mapping[str, int], engines: Mapping[str, EngineProfile], split: str | None
) -> dict[str, int]:
    """Other budgets than the automatic ones that take no more of the device, whether scratch is shared or not."""

    def needs(parts: Mapping[str, int]) -> tuple[int, int]:
        scratch = [engines[name].scratch_bytes for name in parts if parts[name] < engines[name].streamable_bytes]
        weights = sum(parts.values())
        return weights + sum(scratch), weights + max(scratch, default=0)

    had = needs(before)
    total = sum(before.values())
    for _ in range(_MOST_TRIES):
        parts = spends.spend(total, before, engines, split)
        more = max(need - limit for need, limit in zip(needs(parts), had, strict=True))
        if more <= 0:
            return parts
        total -= more
        if total < 0:
            break
    return dict(before)

"""A profile: how long each engine of a program takes at which budget, measured on one machine. A small JSON file.

It lies beside the program, `model.pte` and `model.profile.json`. Nobody vouches for it: every value is checked.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from torchtrt_ws.atomic import check_target, write_atomically
from torchtrt_ws.budget.profile_fields import MEASURE, ProfileFields, no_key_twice
from torchtrt_ws.budget.wire import shown
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.names import FORM, is_engine_name

__all__ = [
    "MAX_BATCHES",
    "MAX_FILE_BYTES",
    "MAX_POINTS",
    "SCHEMA_VERSION",
    "BatchPoints",
    "EngineFacts",
    "EngineProfile",
    "Point",
    "Profile",
    "beside",
]

SCHEMA_VERSION = 1  # a higher one is refused; readers ignore keys that they do not know
MAX_FILE_BYTES = 2**20
MAX_POINTS = 256  # of one engine: more are no finer than what is measured varies
MAX_BATCHES = 64  # of one engine, beside the one of `points`
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Point:
    """One measurement of one engine.

    Args:
        budget_bytes: Bytes of streamable weights that were kept on the device.
        device_bytes: Bytes on the device meanwhile: weights, scratch and context.
        milliseconds: Time of one call, the median.
    """

    budget_bytes: int
    device_bytes: int
    milliseconds: float


@dataclass(frozen=True)
class BatchPoints:
    """The measurements of one engine at one more batch size.

    Args:
        batch: The size of the dynamic dimension that all inputs share.
        points: The measurements, by budget; those of 0 and of all streamable bytes among them.
    """

    batch: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class EngineFacts:
    """What the .pte says of one engine, for a profile to be compared with.

    Args:
        name: The engine's name.
        sha256: Its digest, 64 lower-case hexadecimal digits; None if the file does not record one.
        streamable_bytes: Bytes of weights that can be streamed; None if not known.
        estimated: True if `streamable_bytes` is an estimate.
    """

    name: str
    sha256: str | None
    streamable_bytes: int | None
    estimated: bool = False


@dataclass(frozen=True)
class EngineProfile:
    """What was measured of one engine.

    Args:
        name: The engine's name in its program.
        sha256: The engine's digest, as the .pte records it.
        streamable_bytes: Bytes of weights that can be streamed, as the loaded engine says.
        scratch_bytes: Bytes that streaming needs beside the budget.
        points: The measurements, by budget; those of 0 and of all streamable bytes (or `largest_bytes`) among them.
        gpu: The name of the device, as text for people.
        library: The library that ran the engine, and its version, as text for people.
        batch: The size of the dynamic dimension at which `points` were measured; None if there is none, or if the
            profile does not say.
        other_batches: The same at other sizes, by size, none of them `batch`. Empty without a `batch`.
        largest_bytes: The largest budget that was measured where full residency did not fit; None where it did.
    """

    name: str
    sha256: str
    streamable_bytes: int
    scratch_bytes: int
    points: tuple[Point, ...]
    gpu: str = ""
    library: str = ""
    batch: int | None = None
    other_batches: tuple[BatchPoints, ...] = ()
    largest_bytes: int | None = None


@dataclass(frozen=True)
class Profile:
    """The engines of a program, measured. What `Profile.parse` and `Profile.read` return is valid.

    Args:
        engines: One for each engine of the program, in any order.
        overhead_milliseconds: What a call of the program takes beyond the times of its engines; None if not measured.
        bandwidth_bytes_per_second: Weights from the host to the device, the most that was seen while streaming; None
            if nothing was streamed.
        machine: Where it was measured, as text for people.
    """

    engines: tuple[EngineProfile, ...]
    overhead_milliseconds: float | None = None
    bandwidth_bytes_per_second: float | None = None
    machine: str = ""

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Profile:
        """Reads a profile.

        Args:
            path: The file.

        Returns:
            The profile.

        Raises:
            ProgramError: A file that cannot be read, is larger than 1 MiB, or holds no valid profile.
        """
        name = os.fspath(path)
        try:
            with open(path, "rb") as file:
                text = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise ProgramError(name, error.strerror or str(error), "a profile", "Give the path of one.") from None
        if len(text) > MAX_FILE_BYTES:
            raise ProgramError(name, "a larger file", f"a profile of at most {MAX_FILE_BYTES} bytes", MEASURE)
        try:
            document = json.loads(text.decode("utf-8"), object_pairs_hook=no_key_twice)
        except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
            raise ProgramError(name, f"text that is no JSON ({error})", "a profile in JSON", MEASURE) from None
        return cls.parse(document, name)

    @classmethod
    def parse(cls, document: object, subject: str = "profile") -> Profile:
        """Takes a profile from the values of its JSON.

        Args:
            document: {"schema": 1, "engines": [...]} and the other fields of `Profile`, each engine with the fields of
                `EngineProfile`. What has a default may be missing.
            subject: What an error names.

        Returns:
            The profile; points are sorted by budget.

        Raises:
            ProgramError: A newer schema; a missing field, or one of another type or range; an engine, a budget or a
                batch twice; a budget above the streamable bytes, more than the device held or without its ends
                measured.
        """
        top = ProfileFields(document, subject)
        schema = top.integer("schema", low=1)
        if schema != SCHEMA_VERSION:
            upgrade = "It was written by a newer torchtrt-ws: upgrade, or measure again."
            raise ProgramError(f"{subject}: schema", str(schema), str(SCHEMA_VERSION), upgrade)
        engines = tuple(_engine(each) for each in top.items("engines"))
        names = [engine.name for engine in engines]
        if len(set(names)) < len(names):
            top.refuse("engines", "an engine twice", "each engine once")
        return cls(
            engines,
            top.not_negative_or_none("overhead_milliseconds"),
            top.positive_or_none("bandwidth_bytes_per_second"),
            top.text("machine", ""),
        )

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the profile: the same profile gives the same bytes. The file is the old one or the whole new one.

        Args:
            path: Where to; `beside` says where `load` looks.

        Raises:
            ProgramError: The profile is not valid, its text is larger than 1 MiB, or the file cannot be written.
        """
        # As it will be read: what is refused then is refused now. asdict() keeps tuples, JSON has lists.
        valid = Profile.parse({"schema": SCHEMA_VERSION, **asdict(self)}, "profile to write")
        document = {"schema": SCHEMA_VERSION, **asdict(valid)}
        text = (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()
        if len(text) > MAX_FILE_BYTES:
            raise ProgramError("profile to write", f"{len(text)} bytes", f"at most {MAX_FILE_BYTES}", "Measure less.")

        def put(file: BinaryIO) -> None:
            file.write(text)

        write_atomically(check_target(path), put)

    def of(self, engines: Sequence[EngineFacts], subject: str = "profile") -> dict[str, EngineProfile]:
        """What was measured of a program's engines, if it is these that were measured.

        Args:
            engines: What the .pte says of them.
            subject: What an error names.

        Returns:
            Engine name to its profile, in the order of `engines`.

        Raises:
            ProgramError: An engine that the profile lacks, whose digest is another or not recorded, or whose streamable
                bytes are others.
        """
        known = {engine.name: engine for engine in self.engines}
        found = {}
        for facts in engines:
            measured = known.get(facts.name)
            if measured is None:
                names = ", ".join(repr(name) for name in known) or "no engines"
                raise ProgramError(subject, names, f"a measurement of engine {facts.name!r} too", MEASURE)
            _compare(measured, facts, f"{subject}: {facts.name}")
            found[facts.name] = measured
        return found


def beside(program: str | os.PathLike[str]) -> Path:
    """Where the profile of a program lies: `model.profile.json` for `model.pte`.

    Args:
        program: The path of the .pte.
    """
    return Path(program).with_suffix(".profile.json")


def _compare(measured: EngineProfile, facts: EngineFacts, subject: str) -> None:
    if facts.sha256 is None:
        raise ProgramError(
            f"{subject}: sha256",
            "a program that records none",
            f"the engine that was measured ({measured.sha256})",
            "Run `torchtrt-ws annotate` on the program.",
        )
    if measured.sha256 != facts.sha256:
        expected = f"the program's {facts.sha256} (another engine was measured)"
        raise ProgramError(f"{subject}: sha256", measured.sha256, expected, MEASURE)
    recorded = facts.streamable_bytes
    if recorded is not None and not facts.estimated and recorded != measured.streamable_bytes:
        expected = f"the {recorded} that the program records"
        raise ProgramError(f"{subject}: streamable_bytes", str(measured.streamable_bytes), expected, MEASURE)


def _engine(fields: ProfileFields) -> EngineProfile:
    name, sha256 = fields.text("name"), fields.text("sha256")
    if not is_engine_name(name):
        fields.refuse("name", shown(name), FORM)
    if not _SHA256.fullmatch(sha256):
        fields.refuse("sha256", shown(sha256), "64 lower-case hexadecimal digits")
    streamable = fields.integer("streamable_bytes")
    largest = fields.integer_or_none("largest_bytes")
    if largest is not None and largest >= streamable:
        fields.refuse("largest_bytes", str(largest), f"less than the {streamable} streamable bytes, or null")
    last = streamable if largest is None else largest
    points = _points(fields, last)
    scratch = fields.integer("scratch_bytes")
    gpu, library = fields.text("gpu", ""), fields.text("library", "")
    batch = fields.integer_or_none("batch", low=1)
    others = _other_batches(fields, batch, last)
    return EngineProfile(name, sha256, streamable, scratch, points, gpu, library, batch, others, largest)


def _other_batches(fields: ProfileFields, batch: int | None, last: int) -> tuple[BatchPoints, ...]:
    key = "other_batches"
    items = fields.items(key, ())
    if len(items) > MAX_BATCHES:
        fields.refuse(key, f"{len(items)} batches", f"at most {MAX_BATCHES}")
    found = tuple(BatchPoints(each.integer("batch", low=1), _points(each, last)) for each in items)
    sizes = [each.batch for each in found]
    if found and batch is None:
        fields.refuse("batch", "null", f"the size at which points were measured, beside those of {key}")
    twice = next((size for size in sizes if size == batch or sizes.count(size) > 1), None)
    if twice is not None:
        fields.refuse(key, f"batch {twice} twice", "each batch once")
    return tuple(sorted(found, key=lambda each: each.batch))


def _points(fields: ProfileFields, last: int) -> tuple[Point, ...]:
    points = tuple(sorted((_point(each) for each in fields.items("points")), key=lambda point: point.budget_bytes))
    _check_points(fields, points, last)
    return points


def _point(fields: ProfileFields) -> Point:
    point = Point(fields.integer("budget_bytes"), fields.integer("device_bytes"), fields.positive("milliseconds"))
    if point.device_bytes < point.budget_bytes:
        fields.refuse("device_bytes", str(point.device_bytes), f"{point.budget_bytes} of the budget, or more")
    return point


def _check_points(fields: ProfileFields, points: Sequence[Point], last: int) -> None:
    budgets = [point.budget_bytes for point in points]
    if len(budgets) > MAX_POINTS:
        fields.refuse("points", f"{len(budgets)} points", f"at most {MAX_POINTS}")
    twice = next((low for low, high in pairwise(budgets) if low == high), None)
    if twice is not None:
        fields.refuse("points", f"{twice} bytes twice", "each budget once")
    if budgets and budgets[-1] > last:
        fields.refuse("points", f"a budget of {budgets[-1]} bytes", f"none above the {last} streamable bytes")
    if not budgets or budgets[0] != 0 or budgets[-1] != last:  # between the ends every budget has one below it
        ends = f"{budgets[0]} to {budgets[-1]} bytes" if budgets else "none"
        fields.refuse("points", ends, f"measurements from 0 to all {last} streamable bytes, both included")

"""torchtrt_ws.budget.profile: what is read, what is refused, and whose profile it is."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from torchtrt_ws.budget.profile import MAX_FILE_BYTES, BatchPoints, EngineFacts, EngineProfile, Point, Profile, beside
from torchtrt_ws.errors import ProgramError

DIGEST = "ab" * 32
OTHERS = (
    BatchPoints(1, (Point(0, 8, 9.0), Point(100, 100, 0.5))),
    BatchPoints(32, (Point(0, 30, 11.0), Point(100, 120, 3.0))),
)
POINTS = (Point(0, 10, 9.5), Point(50, 60, 4.0), Point(100, 100, 1.0))
PROFILE = Profile(
    (
        EngineProfile("encoder", DIGEST, 100, 10, POINTS, "a GPU", "a library 1.2", 8, OTHERS),
        EngineProfile("resident", "cd" * 32, 0, 0, (Point(0, 5, 2.0),)),
    ),
    overhead_milliseconds=0.25,
    bandwidth_bytes_per_second=5.4e10,
    machine="a host",
)


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """The JSON of PROFILE."""
    PROFILE.write(tmp_path / "written.json")
    return dict(json.loads((tmp_path / "written.json").read_text()))


def test_what_is_written_is_read_and_always_the_same(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    PROFILE.write(first)
    assert Profile.read(first) == PROFILE
    others = tuple(BatchPoints(each.batch, each.points[::-1]) for each in OTHERS[::-1])
    backwards = replace(PROFILE.engines[0], points=POINTS[::-1], other_batches=others)
    replace(PROFILE, engines=(backwards, PROFILE.engines[1])).write(second)
    assert first.read_bytes() == second.read_bytes(), "points and batches have one order"


def test_a_reader_ignores_what_it_does_not_know(document: dict[str, Any]) -> None:
    document["host"] = "a name"
    document["engines"][0]["points"][0]["joules"] = 3
    assert Profile.parse(document) == PROFILE


def test_what_older_profiles_do_not_say_is_not_known(document: dict[str, Any]) -> None:
    for key in ("overhead_milliseconds", "bandwidth_bytes_per_second", "machine"):
        document.pop(key)
    for key in ("batch", "other_batches"):
        document["engines"][0].pop(key)
    found = Profile.parse(document)
    assert (found.overhead_milliseconds, found.bandwidth_bytes_per_second, found.machine) == (None, None, "")
    assert (found.engines[0].batch, found.engines[0].other_batches) == (None, ())
    document.update(overhead_milliseconds=None, bandwidth_bytes_per_second=None)
    document["engines"][0].update(batch=None, other_batches=[])
    assert Profile.parse(document) == found


def test_full_residency_may_not_have_fitted(document: dict[str, Any]) -> None:
    """Streaming is for what is larger than the device."""
    engine = document["engines"][0]
    for points in (engine["points"], engine["other_batches"][0]["points"], engine["other_batches"][1]["points"]):
        points[-1].update(budget_bytes=60)
    engine["largest_bytes"] = 60
    found = Profile.parse(document).engines[0]
    assert (found.points[-1].budget_bytes, found.largest_bytes, found.streamable_bytes) == (60, 60, 100)
    engine["other_batches"][1]["points"][-1].update(budget_bytes=59)
    with pytest.raises(ProgramError, match=r"other_batches\[1\]: points: found 0 to 59 bytes"):
        Profile.parse(document)


def test_no_overhead_is_not_an_unknown_one(document: dict[str, Any]) -> None:
    document["overhead_milliseconds"] = 0
    assert Profile.parse(document).overhead_milliseconds == 0.0


def test_it_lies_beside_the_program() -> None:
    assert beside("folder/model.pte") == Path("folder/model.profile.json")
    assert beside("model.v2.pte") == Path("model.v2.profile.json")


Change = Callable[[dict[str, Any]], object]
CHANGES: dict[str, tuple[Change, str]] = {
    "no schema": (lambda d: d.pop("schema"), "schema: found None"),
    "a newer schema": (lambda d: d.update(schema=2), "schema: found 2; expected 1. It was written by a newer"),
    "schema true": (lambda d: d.update(schema=True), "schema: found True"),
    "no engines": (lambda d: d.pop("engines"), "engines: found None; expected a list"),
    "an engine that is none": (lambda d: d["engines"].append(7), r"engines\[2\]: found 7"),
    "an engine twice": (lambda d: d["engines"].append(d["engines"][0]), "an engine twice"),
    "a name": (lambda d: d["engines"][0].update(name="a/b"), "name: found 'a/b'"),
    "a digest": (lambda d: d["engines"][0].update(sha256=DIGEST.upper()), "64 lower-case"),
    "negative bytes": (lambda d: d["engines"][0].update(scratch_bytes=-1), "scratch_bytes: found -1"),
    "bytes as a float": (lambda d: d["engines"][0].update(streamable_bytes=1e2), "streamable_bytes: found 100.0"),
    "too many bytes": (lambda d: d["engines"][0].update(streamable_bytes=2**63), "streamable_bytes: found 9223"),
    "a negative budget": (lambda d: d["engines"][0]["points"][0].update(budget_bytes=-1), "budget_bytes: found -1"),
    "no time": (lambda d: d["engines"][0]["points"][0].update(milliseconds=0), "milliseconds: found 0"),
    "a negative time": (lambda d: d["engines"][0]["points"][0].update(milliseconds=-1.5), "milliseconds: found -1.5"),
    "no number": (lambda d: d["engines"][0]["points"][0].update(milliseconds=float("nan")), "found nan"),
    "endless": (lambda d: d["engines"][0]["points"][0].update(milliseconds=float("inf")), "found inf"),
    "a budget twice": (lambda d: d["engines"][0]["points"].append(d["engines"][0]["points"][1]), "50 bytes twice"),
    "above all": (lambda d: d["engines"][0].update(streamable_bytes=99), "none above the 99"),
    "not all": (
        lambda d: d["engines"][0]["points"].pop(),
        "found 0 to 50 bytes; expected measurements from 0 to all 100",
    ),
    "not none": (lambda d: d["engines"][0]["points"].pop(0), "found 50 to 100 bytes"),
    "no points": (lambda d: d["engines"][0].update(points=[]), "points: found none"),
    "less than its budget": (
        lambda d: d["engines"][0]["points"][1].update(device_bytes=49),
        "expected 50 of the budget",
    ),
    "too many points": (
        lambda d: d["engines"][0].update(
            points=[{"budget_bytes": n, "device_bytes": n, "milliseconds": 1} for n in range(257)]
        ),
        "257 points",
    ),
    "less than no overhead": (lambda d: d.update(overhead_milliseconds=-1), "overhead_milliseconds: found -1"),
    "overhead false": (lambda d: d.update(overhead_milliseconds=False), "overhead_milliseconds: found False"),
    "no bandwidth": (lambda d: d.update(bandwidth_bytes_per_second=0), "bandwidth_bytes_per_second: found 0"),
    "bandwidth in words": (lambda d: d.update(bandwidth_bytes_per_second="1GB/s"), "found '1GB/s'"),
    "more than full residency": (lambda d: d["engines"][0].update(largest_bytes=100), "less than the 100"),
    "less than what was measured": (lambda d: d["engines"][0].update(largest_bytes=60), "none above the 60"),
    "a machine's number": (lambda d: d.update(machine=1), "machine: found 1; expected text"),
    "batch 0": (lambda d: d["engines"][0].update(batch=0), "batch: found 0; expected an integer from 1"),
    "half a batch": (lambda d: d["engines"][0].update(batch=1.5), "batch: found 1.5"),
    "no batch beside others": (lambda d: d["engines"][0].pop("batch"), "batch: found null"),
    "batches as an object": (lambda d: d["engines"][0].update(other_batches={}), "other_batches: found {}"),
    "a batch twice": (lambda d: d["engines"][0].update(batch=32), "batch 32 twice"),
    "another batch twice": (lambda d: d["engines"][0]["other_batches"][1].update(batch=1), "batch 1 twice"),
    "another batch without its ends": (
        lambda d: d["engines"][0]["other_batches"][1]["points"].pop(),
        r"other_batches\[1\]: points: found 0 to 0 bytes",
    ),
    "too many batches": (
        lambda d: d["engines"][0].update(
            other_batches=[{"batch": n, "points": d["engines"][0]["points"]} for n in range(100, 165)]
        ),
        "65 batches",
    ),
    "a GPU's number": (lambda d: d["engines"][0].update(gpu=0), "gpu: found 0; expected text"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_no_profile_is_refused(document: dict[str, Any], change: str) -> None:
    apply, words = CHANGES[change]
    apply(document)
    with pytest.raises(ProgramError, match=words) as caught:
        Profile.parse(copy.deepcopy(document), "the file")
    assert str(caught.value).startswith("the file") and caught.value.next_step


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff{}", "no JSON"),
        (b'{"schema": 1, "schema": 1, "engines": []}', "the same key twice"),
        (b"[" * 200_000, "no JSON"),
        (b"[]", "a JSON object"),
        (b"1" * 5000, "no JSON"),
        (b" " * (MAX_FILE_BYTES + 1), "at most 1048576 bytes"),
        (None, "No such file"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_file_of_a_profile_is_refused(tmp_path: Path, text: bytes | None, words: str) -> None:
    path = tmp_path / "p.json"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(ProgramError, match=words) as caught:
        Profile.read(path)
    assert str(path) in str(caught.value)


def test_what_would_be_refused_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    with pytest.raises(ProgramError, match="0 to 50 bytes"):
        Profile((replace(PROFILE.engines[0], points=POINTS[:2]),)).write(path)
    with pytest.raises(ProgramError, match="at most 1048576"):
        Profile((replace(PROFILE.engines[0], gpu="x" * MAX_FILE_BYTES),)).write(path)
    assert not path.exists()


def test_it_is_the_profile_of_these_engines() -> None:
    facts = [EngineFacts("encoder", DIGEST, 100), EngineFacts("resident", "cd" * 32, None)]
    assert list(PROFILE.of(facts)) == ["encoder", "resident"]
    assert PROFILE.of([EngineFacts("encoder", DIGEST, 123, estimated=True)]), "an estimate may be off"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (EngineFacts("decoder", DIGEST, 100), "a measurement of engine 'decoder' too"),
        (EngineFacts("encoder", "ef" * 32, 100), "another engine was measured"),
        (EngineFacts("encoder", None, 100), "torchtrt-ws annotate"),
        (EngineFacts("encoder", DIGEST, 101), "found 100; expected the 101 that the program records"),
    ],
    ids=["another name", "another digest", "no digest", "another size"],
)
def test_the_profile_of_others_is_refused(facts: EngineFacts, words: str) -> None:
    with pytest.raises(ProgramError, match=words):
        PROFILE.of([facts])

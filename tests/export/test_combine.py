"""`torchtrt-ws combine`: what is written, what is refused, and what other commands make of it."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from warm_python import python

import torchtrt_ws
from torchtrt_ws import blob, pte

X, Y = "x:float16:16x64", "y:float16:16x64"
ADA, HOPPER = ["8.9"], ["9.0"]


def weight(value: float) -> np.ndarray:
    return np.full((64, 64), value, np.float16)


WEIGHTS = {"first": weight(1), "second": weight(2)}


def plan(text: str, version: tuple[int, ...] = (1, 6, 1, 120), size: int = 4000) -> bytes:
    """Bytes that pass for a plan of TensorRT-RTX."""
    head = struct.pack("<4s12xQ4B", b"vtrt", size, *version) + text.encode()
    return head + bytes(size - len(head))


def save(path: Path, payload: bytes, weights: Mapping[str, Any] | None = None, **keywords: Any) -> Path:
    facts = {"inputs": X, "outputs": Y, "streamable_bytes": 8192, "weights": WEIGHTS if weights is None else weights}
    torchtrt_ws.save_plan(payload, path, **{**facts, **keywords})
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """l4.pte, h100.pte and any.pte, each with its weights, and m.pte of the three."""
    folder = tmp_path_factory.mktemp("combine")
    save(folder / "l4.pte", plan("for an L4"), compute_capabilities=ADA)
    save(folder / "h100.pte", plan("for an H100", size=5001), compute_capabilities=HOPPER)
    save(folder / "any.pte", plan("for all", (1, 5, 0, 7)), {**WEIGHTS, "third": weight(3)})
    programs = [folder / f"{name}.pte" for name in ("l4", "h100", "any")]
    done = run("combine", *programs, "-o", folder / "m.pte", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "file": str(folder / "m.pte"),
        "weights_file": str(folder / "m.ptd"),
        "plans": {
            "forward": [
                "compute capability 8.9, tensorrt_rtx 1.6.1",
                "compute capability 9.0, tensorrt_rtx 1.6.1",
                "any GPU, tensorrt_rtx 1.5.0",
            ]
        },
        "bytes": (folder / "m.pte").stat().st_size,
        "weights_bytes": (folder / "m.ptd").stat().st_size,
    }
    return folder


def run(*arguments: object) -> Any:
    return python("-m", "torchtrt_ws", *arguments, exports=arguments[0] == "combine")


def engine(path: Path) -> pte.EngineInfo:
    (found,) = pte.read(path).engines
    return found


def test_the_plans_are_the_bytes_that_they_were(folder: Path) -> None:
    combined, data = engine(folder / "m.pte"), (folder / "m.pte").read_bytes()
    sizes = []
    for name, variant in zip(("l4", "h100", "any"), combined.variants, strict=True):
        alone = engine(folder / f"{name}.pte")
        start = combined.engine_offset + variant.offset
        assert (alone.sha256, alone.crc32c) == (variant.sha256, variant.crc32c)
        their = (folder / f"{name}.pte").read_bytes()[alone.engine_offset :][: alone.engine_bytes]
        assert data[start : start + variant.size] == their and start % blob.ENGINE_ALIGNMENT == 0
        assert variant.builder == alone.builder and variant.streamable_bytes == alone.streamable_bytes
        sizes.append(variant.size)
    assert sizes == [4000, 5001, 4000] and combined.engine_bytes == 4000 + 5008 + 4000
    assert data[combined.payload_offset :][:4] == blob.MAGIC_STRIPPED
    own = combined.metadata.own
    assert own is not None and own.schema == blob.VARIANTS_SCHEMA_VERSION and own.compute_capabilities == ()


def test_weights_are_there_once_and_each_plan_has_its_own(folder: Path) -> None:
    combined = engine(folder / "m.pte")
    assert combined.weights is not None and combined.weights.file == "m.ptd"
    assert [each.name for each in combined.weights.tensors] == ["first", "second", "third"]
    assert [each.weights for each in combined.variants] == [("first", "second"), ("first", "second"), None]
    regions = pte.regions_in_data_file(folder / "m.ptd")
    data = (folder / "m.ptd").read_bytes()
    for each, value in zip(combined.weights.tensors, (1, 2, 3), strict=True):
        region = regions[each.key]
        assert data[region.offset : region.offset + region.size] == weight(value).tobytes()
    assert len(regions) == 3


def test_the_same_programs_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    programs = [folder / f"{name}.pte" for name in ("l4", "h100", "any")]
    torchtrt_ws.combine(programs, tmp_path / "m.pte")
    for suffix in (".pte", ".ptd"):
        assert (tmp_path / f"m{suffix}").read_bytes() == (folder / f"m{suffix}").read_bytes()


def test_what_was_combined_is_combined_again(folder: Path, tmp_path: Path) -> None:
    two = torchtrt_ws.combine([folder / "l4.pte", folder / "h100.pte"], tmp_path / "two.pte")
    assert len(two.plans["forward"]) == 2
    torchtrt_ws.combine([tmp_path / "two.pte", folder / "any.pte"], tmp_path / "m.pte")
    for suffix in (".pte", ".ptd"):
        assert (tmp_path / f"m{suffix}").read_bytes() == (folder / f"m{suffix}").read_bytes()
    again = torchtrt_ws.combine([folder / "m.pte", folder / "h100.pte"], tmp_path / "again.pte")
    assert len(again.plans["forward"]) == 3, "an equal plan is there once"


def test_in_place_and_with_data_elsewhere(folder: Path, tmp_path: Path) -> None:
    first = save(tmp_path / "a.pte", plan("for an L4"), weights_path=tmp_path / "weights.ptd", compute_capabilities=ADA)
    other = (tmp_path / "b.pte").write_bytes((folder / "h100.pte").read_bytes())
    assert other
    data = [tmp_path / "weights.ptd"]
    report = torchtrt_ws.combine([first, tmp_path / "b.pte"], first, data=data, weights_path=data[0])
    assert (report.file, report.weights_file) == (str(first), str(data[0]))
    assert len(engine(first).variants) == 2 and engine(first).weights is not None


def test_engines_that_are_equal_stay_equal(tmp_path: Path) -> None:
    """Two methods on one plan, for either GPU: the plans are in the file once."""
    for name, capability in (("a", ADA), ("b", HOPPER)):
        torchtrt_ws.save_plan(
            dict.fromkeys(("prefill", "decode"), plan(name)),
            tmp_path / f"{name}.pte",
            inputs=dict.fromkeys(("prefill", "decode"), X),
            outputs=dict.fromkeys(("prefill", "decode"), Y),
            methods={"prefill": ["prefill"], "decode": ["decode"]},
            weights=dict.fromkeys(("prefill", "decode"), WEIGHTS),
            compute_capabilities=dict.fromkeys(("prefill", "decode"), capability),
        )
    torchtrt_ws.combine([tmp_path / "a.pte", tmp_path / "b.pte"], tmp_path / "m.pte")
    first, second = pte.read(tmp_path / "m.pte").engines
    assert second.same_plan_as == first.name and first.engine_offset == second.engine_offset
    assert [each.made_for for each in first.variants] == [
        "compute capability 8.9, tensorrt_rtx 1.6.1",
        "compute capability 9.0, tensorrt_rtx 1.6.1",
    ]


def test_where_neither_says_for_whom_they_stay_in_order(tmp_path: Path) -> None:
    one, two = save(tmp_path / "1.pte", b"ftrt" + bytes(996)), save(tmp_path / "2.pte", b"ftrt" + bytes(1000))
    torchtrt_ws.combine([two, one], tmp_path / "m.pte")
    variants = engine(tmp_path / "m.pte").variants
    assert [(each.size, each.runtime, each.compute_capabilities) for each in variants] == [
        (1004, "", ()),
        (1000, "", ()),
    ]
    assert variants[0].made_for == "any GPU"


def whole(path: Path) -> Path:
    torchtrt_ws.save_plan(plan("whole"), path, inputs=X, outputs=Y)
    return path


def host(path: Path) -> Path:
    import torch

    torchtrt_ws.save(torch.nn.Linear(4, 4), path, arg_inputs=(torch.ones(2, 4),), weights="separate")
    return path


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "an engine with its weights": (whole, "an engine with its weights in it.*torchtrt-ws strip"),
    "a host engine": (host, "a host engine"),
    "other inputs": (lambda path: save(path, plan("b"), inputs="x:float16:8x64", outputs="y:float16:8x64"), "inputs"),
    "another name": (lambda path: save(path, plan("b"), name="other"), "engine 'forward', which only one of them has"),
    "another budget": (lambda path: save(path, plan("b"), weight_streaming_budget="1KiB"), "baked_budget"),
    "another device": (lambda path: save(path, plan("b"), device="cuda:1"), "target_device"),
    "another platform": (lambda path: save(path, plan("b"), target_platform="linux_aarch64"), "target_platform"),
    "another value": (
        lambda path: save(path, plan("b"), {**WEIGHTS, "second": weight(7)}),
        "weight 'second'.*of other weights",
    ),
    "the same plan": (lambda path: save(path, plan("for an L4")), "the same plans"),
    "no program": (lambda path: path, "no such file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(folder: Path, tmp_path: Path, case: str) -> None:
    make, says = REFUSED[case]
    other = make(tmp_path / "b.pte")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    with pytest.raises(torchtrt_ws.WeightStreamingError, match=f"(?is){says}"):
        torchtrt_ws.combine([folder / "l4.pte", other], tmp_path / "b.pte")
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_one_program_is_refused(folder: Path, tmp_path: Path) -> None:
    done = run("combine", folder / "l4.pte", "-o", tmp_path / "m.pte")
    assert done.returncode == 1 and "two or more" in done.stderr and not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", ["plan", "weight", "no weights"])
def test_damage_is_refused(folder: Path, tmp_path: Path, part: str) -> None:
    for name in ("m.pte", "m.ptd"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    if part == "plan":
        found = engine(tmp_path / "m.pte")
        file, at = "m.pte", found.engine_offset + found.variants[1].offset + 100
    else:
        file, at = "m.ptd", next(iter(pte.regions_in_data_file(tmp_path / "m.ptd").values())).offset
    data = bytearray((tmp_path / file).read_bytes())
    data[at] ^= 1
    (tmp_path / file).write_bytes(data)
    if part == "no weights":
        (tmp_path / "m.ptd").unlink()
    says = {"plan": "those that the file records", "weight": "is damaged", "no weights": "no file with the weight"}
    with pytest.raises(torchtrt_ws.ProgramError, match=says[part]):
        torchtrt_ws.combine([tmp_path / "m.pte", folder / "h100.pte"], tmp_path / "n.pte")
    assert not (tmp_path / "n.pte").exists()


# --- what other commands make of it


def test_inspect_shows_them(folder: Path) -> None:
    shown = run("inspect", folder / "m.pte").stdout
    assert "forward 1: compute capability 8.9" in shown and "forward 3: any GPU, tensorrt_rtx 1.5.0" in shown
    details = "".join(run("inspect", folder / "m.pte", "-d").stdout.split())  # a digest may go over two lines
    (found,) = json.loads(run("inspect", folder / "m.pte", "--json").stdout)["engines"]
    assert [each["compute_capabilities"] for each in found["variants"]] == [["8.9"], ["9.0"], []]
    assert all(each["sha256"] in details for each in found["variants"])
    alone = json.loads(run("inspect", folder / "l4.pte", "--json").stdout)["engines"][0]
    assert alone["compute_capabilities"] == ["8.9"] and alone["variants"] == []
    assert "compute capability 8.9" in run("inspect", folder / "l4.pte", "-d").stdout


def test_a_digest_is_of_all_of_them(folder: Path, tmp_path: Path) -> None:
    assert run("inspect", folder / "m.pte", "--digest").returncode == 0
    for name in ("m.pte", "m.ptd"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    found = engine(tmp_path / "m.pte")
    data = bytearray((tmp_path / "m.pte").read_bytes())
    data[found.engine_offset + found.variants[2].offset + 3999] ^= 1
    (tmp_path / "m.pte").write_bytes(data)
    done = run("inspect", tmp_path / "m.pte", "--digest")
    assert done.returncode == 1 and "differs" in done.stdout


def test_set_budget_and_diff_know_them(folder: Path, tmp_path: Path) -> None:
    done = run("set-budget", folder / "m.pte", "1KiB", "-o", tmp_path / "m.pte")
    assert done.returncode == 0, done.stderr
    assert engine(tmp_path / "m.pte").baked_budget == 1024
    assert engine(tmp_path / "m.pte").variants == engine(folder / "m.pte").variants
    done = run("diff", folder / "m.pte", tmp_path / "m.pte", "--json")
    assert [each["what"] for each in json.loads(done.stdout)["engines"][0]["changes"]] == ["baked_budget"]
    done = run("diff", folder / "l4.pte", folder / "m.pte", "--json")
    changed = {each["what"] for each in json.loads(done.stdout)["engines"][0]["changes"]}
    assert done.returncode == 1 and {"variants", "contents", "compute_capabilities"} <= changed
    assert run("diff", folder / "l4.pte", folder / "m.pte").returncode == 1


def test_merge_and_strip_say_that_they_do_not(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=r"3 plans for one engine.*Merge one of the programs"):
        torchtrt_ws.merge(folder / "m.pte", tmp_path / "a.pte")
    with pytest.raises(torchtrt_ws.ProgramError, match="without its weights already"):
        torchtrt_ws.strip(folder / "m.pte", tmp_path / "a.pte")
    assert not list(tmp_path.iterdir())


def test_annotate_leaves_them(folder: Path, tmp_path: Path) -> None:
    torchtrt_ws.annotate(folder / "m.pte", output=tmp_path / "m.pte")
    assert (tmp_path / "m.pte").read_bytes() == (folder / "m.pte").read_bytes()


# --- where a capability comes from


@pytest.mark.parametrize("given", ["8.9", [], ["8"], ["sm_89"], [8.9]])
def test_a_capability_in_other_words_is_refused(tmp_path: Path, given: Any) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match="compute_capabilities"):
        save(tmp_path / "a.pte", plan("a"), compute_capabilities=given)


def test_wrap_records_one(tmp_path: Path) -> None:
    (tmp_path / "a.plan").write_bytes(plan("a"))
    tensors = ("--input", X, "--output", Y)
    done = python(
        "-m", "torchtrt_ws", "wrap", tmp_path / "a.plan", "-o", tmp_path / "a.pte", *tensors,
        "--compute-capability", "8.9", "--compute-capability", "12.0", exports=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert engine(tmp_path / "a.pte").compute_capabilities == ("8.9", "12.0")


def test_a_plan_that_tells_needs_none(tmp_path: Path) -> None:
    head = bytearray(plan("", size=4000))
    head[28:36] = b"vtrt" + (0b11000).to_bytes(4, "little")
    assert engine(save(tmp_path / "a.pte", bytes(head))).compute_capabilities == ("8.9", "12.0")
    assert engine(save(tmp_path / "a.pte", bytes(head), compute_capabilities=HOPPER)).compute_capabilities == ("9.0",)


def test_cache_knows_what_belongs_to_a_plan_of_it(folder: Path, tmp_path: Path) -> None:
    """What TensorRT-RTX compiled is kept for the plan that ran, not for all of them."""
    tmp_path.chmod(0o700)
    digests = [each.sha256 for each in engine(folder / "m.pte").variants]
    for digest in (digests[1], "ab" * 32):
        (tmp_path / f"{digest}-rtx1.6.1-sm90-{'0' * 16}.runtime").write_bytes(bytes(5000))
    done = python(
        "-m", "torchtrt_ws", "cache", folder / "m.pte", "--json", env={**os.environ, "TORCHTRT_WS_CACHE": str(tmp_path)}
    )
    (entry,) = json.loads(done.stdout)["entries"]
    assert entry["engines"] == [f"{folder / 'm.pte'}: forward"] and entry["sha256"] == digests[1]

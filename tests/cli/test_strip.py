"""`torchtrt-ws strip` and `torchtrt-ws merge`: what they write, and that the one takes back the other."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from warm_python import python

import torchtrt_ws
from torchtrt_ws import pte
from torchtrt_ws.export.engine.payload import PIECE


class Words(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.table = torch.nn.Embedding(50, 32)
        self.layer = torch.nn.Linear(32, 32)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layer(self.table(tokens)))


class Query(Words):
    """The same layer and table, one operator less: a method that shares a program inside."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.layer(self.table(tokens))


class Twice(torch.nn.Module):
    """Has no weights."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


class Sum(torch.nn.Module):
    total: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(8)
        self.layer = torch.nn.Linear(512, 512)
        self.register_buffer("total", torch.randn(512, 512))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total.add_(self.layer(x))
        return self.total


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """full.pte: two methods on one program inside, a budget, and a constant method."""
    folder = tmp_path_factory.mktemp("strip")
    query, words = Query().eval(), Words().eval()
    query.table, query.layer = words.table, words.layer
    methods = {"words": words, "query": query}
    inputs = {name: (torch.arange(6).reshape(2, 3),) for name in methods}
    torchtrt_ws.save(
        methods,
        folder / "full.pte",
        arg_inputs=inputs,
        weight_streaming_budget="50%",
        constant_methods={"size": 50},
    )
    assert run("strip", folder / "full.pte", "-o", folder / "small.pte").returncode == 0
    return folder


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return python("-m", "torchtrt_ws", *arguments, exports=True)


def test_there_and_back(folder: Path, tmp_path: Path) -> None:
    """To the byte: what else is in the file stays, in its place."""
    done = run("merge", folder / "small.pte", "-o", tmp_path / "again.pte", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["engines"] == ["query", "words"] and report["data_files"] == [str(folder / "small.ptd")]
    assert report["bytes_before"] == (folder / "small.pte").stat().st_size < report["bytes_after"]
    whole, again = ((path / name).read_bytes() for path, name in ((folder, "full.pte"), (tmp_path, "again.pte")))
    assert hashlib.sha256(again).hexdigest() == hashlib.sha256(whole).hexdigest()


def test_an_engine_of_several_pieces(tmp_path: Path) -> None:
    """Before and after: its state is no weight, and stays in it."""
    torchtrt_ws.save(Sum().eval(), tmp_path / "full.pte", arg_inputs=(torch.ones(1, 512),))
    for command, file, target in (("strip", "full", "small"), ("merge", "small", "again")):
        assert pte.read(tmp_path / f"{file}.pte").engines[0].engine_bytes > PIECE
        done = run(command, tmp_path / f"{file}.pte", "-o", tmp_path / f"{target}.pte")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "again.pte").read_bytes() == (tmp_path / "full.pte").read_bytes()


def test_the_small_one(folder: Path) -> None:
    full, small = pte.read(folder / "full.pte"), pte.read(folder / "small.pte")
    assert small.data_files == (str(folder / "small.ptd"),)
    assert [each.same_plan_as for each in small.engines] == [None, "query"]
    for before, after in zip(full.engines, small.engines, strict=True):
        assert after.weights is not None and after.engine_bytes < before.engine_bytes - 4 * (50 * 32 + 32 * 32)
        assert (after.name, after.inputs, after.baked_budget) == (before.name, before.inputs, before.baked_budget)
        assert after.streamable_bytes == before.streamable_bytes
    assert small.methods == full.methods


def test_what_it_prints(folder: Path, tmp_path: Path) -> None:
    done = run("strip", folder / "full.pte", "-o", tmp_path / "a.pte", "--weights-path", tmp_path / "w.ptd", "--json")
    report = json.loads(done.stdout)
    assert report == {
        "file": str(tmp_path / "a.pte"),
        "weights_file": str(tmp_path / "w.ptd"),
        "engines": ["query", "words"],
        "bytes_before": (folder / "full.pte").stat().st_size,
        "bytes_after": (tmp_path / "a.pte").stat().st_size,
        "weights_bytes": (tmp_path / "w.ptd").stat().st_size,
    }
    done = run("merge", tmp_path / "a.pte", "-o", tmp_path / "b.pte", "--data", tmp_path / "w.ptd")
    assert done.stdout.startswith(f"{tmp_path / 'b.pte'}: ") and " -> " in done.stdout
    done = run("inspect", tmp_path / "a.pte", "--json")
    weights = json.loads(done.stdout)["engines"][0]["weights"]
    assert weights["file"] == "w.ptd" and weights["bytes"] == sum(each["bytes"] for each in weights["tensors"])
    done = run("inspect", tmp_path / "a.pte")
    assert "in w.ptd" in done.stdout


def test_set_budget_leaves_the_weights(folder: Path, tmp_path: Path) -> None:
    done = run("set-budget", folder / "small.pte", "1KiB", "-o", tmp_path / "a.pte")
    assert done.returncode == 0, done.stderr
    one, other = pte.read(folder / "small.pte"), pte.read(tmp_path / "a.pte")
    assert [each.weights for each in one.engines] == [each.weights for each in other.engines]
    assert [each.baked_budget for each in other.engines] == [1024, 1024]


def test_diff_tells_of_weights(folder: Path) -> None:
    done = run("diff", folder / "full.pte", folder / "small.pte", "--json")
    (words, _) = json.loads(done.stdout)["engines"]
    changed = {each["what"]: each for each in words["changes"]}
    assert done.returncode == 1 and changed["weights"]["a"] is None
    assert changed["weights"]["b"]["file"] == "small.ptd"
    assert "small.ptd" in run("diff", folder / "full.pte", folder / "small.pte").stdout


def test_in_place(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.pte"
    path.write_bytes((folder / "full.pte").read_bytes())
    assert run("strip", path, "-o", path).returncode == 0
    assert run("merge", path, "-o", path).returncode == 0
    assert path.read_bytes() == (folder / "full.pte").read_bytes()


def damaged(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_changed_weight_is_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("small.pte", "small.ptd"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    region = next(iter(pte.regions_in_data_file(tmp_path / "small.ptd").values()))
    damaged(tmp_path / "small.ptd", region.offset + 5)
    done = run("merge", tmp_path / "small.pte", "-o", tmp_path / "a.pte")
    assert done.returncode == 1 and "weight" in done.stderr and "SHA-256" in done.stderr
    assert not (tmp_path / "a.pte").exists()


def test_a_changed_engine_is_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.pte"
    path.write_bytes((folder / "full.pte").read_bytes())
    damaged(path, pte.read(path).engines[0].engine_offset + 1000)
    done = run("strip", path, "-o", tmp_path / "b.pte")
    assert done.returncode == 1 and "those that the file records" in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.pte"]


def test_a_changed_engine_that_has_its_weights_is_refused(tmp_path: Path) -> None:
    """The merged file would record what it got, and the damage would be gone from sight."""
    inputs = {"layer": (torch.ones(2, 32),), "twice": (torch.ones(4),)}
    methods = {"layer": torch.nn.Linear(32, 32).eval(), "twice": Twice()}
    path = tmp_path / "a.pte"
    torchtrt_ws.save(methods, path, arg_inputs=inputs, weights="separate")
    (twice,) = (each for each in pte.read(path).engines if each.weights is None)
    damaged(path, twice.engine_offset + twice.engine_bytes // 2)
    done = run("merge", path, "-o", tmp_path / "b.pte")
    assert done.returncode == 1 and "those that the file records" in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.ptd", "a.pte"]


@pytest.mark.parametrize("command", ["strip", "merge"])
@pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "written to"])
def test_a_file_that_changes_meanwhile(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, replaced: bool
) -> None:
    """Parts of two programs are none: neither file is written, and what was there stays."""
    from torchtrt_ws.export.file.laid_out import LaidOutProgram

    for name in ("full.pte", "small.pte", "small.ptd"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    path = tmp_path / ("full.pte" if command == "strip" else "small.pte")
    (tmp_path / "b.pte").write_bytes(b"old")
    write_to = LaidOutProgram.write_to

    def changed_first(self: LaidOutProgram, file: Any) -> None:
        if replaced:
            (tmp_path / "new").write_bytes(path.read_bytes())
            (tmp_path / "new").rename(path)
        else:
            path.write_bytes(path.read_bytes())
        write_to(self, file)

    monkeypatch.setattr(LaidOutProgram, "write_to", changed_first)
    with pytest.raises(torchtrt_ws.ProgramError, match="changed or replaced meanwhile"):
        getattr(torchtrt_ws, command)(path, tmp_path / "b.pte")
    assert (tmp_path / "b.pte").read_bytes() == b"old"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["b.pte", "full.pte", "small.ptd", "small.pte"]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("strip", "small.pte"), "without its weights already"),
        (("merge", "full.pte"), "engines that have their weights"),
        (("strip", "none.pte"), "none.pte"),
        (("merge", "small.pte", "--data", "none.ptd"), "none.ptd"),
    ],
)
def test_nothing_to_do(folder: Path, tmp_path: Path, command: tuple[Any, ...], says: str) -> None:
    name, file, *more = command
    done = run(name, folder / file, "-o", tmp_path / "a.pte", *more)
    assert done.returncode == 1 and says in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_engine_without_weights_stays_as_it_is(tmp_path: Path) -> None:
    inputs = {"double": (torch.ones(4),), "layer": (torch.ones(2, 32),)}
    torch.manual_seed(7)
    methods = {"double": Twice(), "layer": torch.nn.Linear(32, 32).eval()}
    torchtrt_ws.save(methods, tmp_path / "a.pte", arg_inputs=inputs)
    report = torchtrt_ws.strip(tmp_path / "a.pte", tmp_path / "b.pte")
    assert report.engines == ("layer",)
    assert [each.weights is None for each in pte.read(tmp_path / "b.pte").engines] == [True, False]
    torchtrt_ws.merge(tmp_path / "b.pte", tmp_path / "c.pte")
    assert (tmp_path / "c.pte").read_bytes() == (tmp_path / "a.pte").read_bytes()
    torchtrt_ws.save(Twice(), tmp_path / "d.pte", arg_inputs=(torch.ones(4),), weights="separate")
    with pytest.raises(torchtrt_ws.ProgramError, match="engines without weights"):
        torchtrt_ws.strip(tmp_path / "d.pte", tmp_path / "e.pte")
    assert not (tmp_path / "d.ptd").exists() and not (tmp_path / "e.pte").exists()

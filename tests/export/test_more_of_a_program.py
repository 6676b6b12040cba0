"""What ExecuTorch's export takes beside the engines: constant methods, and the record for its Inspector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import torchtrt_ws
from torchtrt_ws import atomic, pte

X = (torch.ones(2, 32),)


def test_constant_methods_and_a_record_beside_a_budget(tmp_path: Path, tower: torch.nn.Module) -> None:
    from executorch.devtools.etrecord import parse_etrecord

    path = tmp_path / "model.pte"
    torchtrt_ws.save(
        tower,
        path,
        arg_inputs=X,
        weight_streaming_budget="50%",
        constant_methods={"vocabulary": 32000, "scale": 0.5},
        generate_etrecord=True,
    )
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.pte", "model_etrecord.bin"]
    (engine,) = pte.read(path).engines
    assert engine.baked_budget is not None
    program = torchtrt_ws.load(path)
    assert program.run("vocabulary") == [32000]
    assert program.run("scale") == [0.5]
    with torch.no_grad():
        torch.testing.assert_close(program(*X)[0], tower(*X))
    record = parse_etrecord(str(tmp_path / "model_etrecord.bin"))
    assert any("engine" in str(node.target) for node in record.edge_dialect_program.graph.nodes)


@pytest.mark.parametrize(
    ("names", "words"), [(["forward"], "'forward', which is a method"), (["no name"], "constant method")]
)
def test_names_of_constant_methods(tmp_path: Path, tower: torch.nn.Module, names: list[str], words: str) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=words):
        torchtrt_ws.save(tower, tmp_path / "a.pte", arg_inputs=X, constant_methods=dict.fromkeys(names, 1))
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_fails_leaves_both_files(
    tmp_path: Path, tower: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, record = tmp_path / "model.pte", tmp_path / "model_etrecord.bin"
    path.write_bytes(b"old program")
    record.write_bytes(b"old record")
    whole = atomic.write_atomically

    def fails(target: Path, write: Any, **keywords: Any) -> None:
        if target == path:
            raise OSError("no space")
        whole(target, write, **keywords)

    monkeypatch.setattr("torchtrt_ws.export.file.write_program.write_atomically", fails)
    with pytest.raises((OSError, torchtrt_ws.ProgramError), match="no space"):
        torchtrt_ws.save(tower, path, arg_inputs=X, generate_etrecord=True)
    assert (path.read_bytes(), record.read_bytes()) == (b"old program", b"old record")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_record_that_cannot_be_written_is_said_before_the_work(tmp_path: Path, tower: torch.nn.Module) -> None:
    (tmp_path / "model_etrecord.bin").mkdir()
    with pytest.raises(torchtrt_ws.ProgramError, match="a folder"):
        torchtrt_ws.save(tower, tmp_path / "model.pte", arg_inputs=X, generate_etrecord=True)

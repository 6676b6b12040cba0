"""Names of files that are legal, and awkward."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import torchtrt_ws


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    path = tmp_path_factory.mktemp("paths") / "m.pte"
    torchtrt_ws.save(torch.nn.Linear(8, 8), path, arg_inputs=(torch.zeros(2, 8),))
    return path


def test_a_name_as_long_as_names_may_be(program: Path, tmp_path: Path) -> None:
    path = tmp_path / ("m" * 251 + ".pte")  # beside which no profile can be
    shutil.copy(program, path)
    with torchtrt_ws.load(path, weight_streaming_budget="50%") as loaded:
        assert loaded(*loaded.zeros())
    assert torchtrt_ws.check(path).engines
    assert torchtrt_ws.plan(path, memory="1GiB").fits


def test_a_name_that_is_not_utf8(program: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"bad\xff.pte")
    shutil.copy(program, path)
    for function in (torchtrt_ws.load, torchtrt_ws.check):
        with pytest.raises(torchtrt_ws.ProgramError, match=r"bad.udcff.pte.*a path that is not UTF-8"):
            function(path)
    with open(path, "rb") as file, torchtrt_ws.load(file) as loaded:
        assert loaded(*loaded.zeros())


@pytest.mark.parametrize("device", [-1, 2**31])
def test_a_device_that_is_no_index(program: Path, device: int) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=f"device_id: found {device}"):
        torchtrt_ws.load(program, device_id=device)


def test_a_profile_that_is_not_there(program: Path) -> None:
    with pytest.raises(torchtrt_ws.BudgetError, match=r"^profile: found no file 'nope\.json'"):
        torchtrt_ws.load(program, profile="nope.json", weight_streaming_budget="50%")

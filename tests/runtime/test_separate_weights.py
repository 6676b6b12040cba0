"""A host engine whose weights are in a file of their own: the same answers, and an error for each way to go without."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import torchtrt_ws
from torchtrt_ws import pte

WORDS, WIDTH = 100, 256
LAYERS = 2 * 4 * (WIDTH * WIDTH + WIDTH)  # bytes; XNNPACK packs them


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """full.pte, stripped.pte and stripped.ptd of one module, other.ptd of another one, x.npy."""
    import torch

    class Words(torch.nn.Module):
        """A table that a portable kernel reads, and two layers for XNNPACK."""

        def __init__(self, seed: int) -> None:
            super().__init__()
            torch.manual_seed(seed)
            self.table = torch.nn.Embedding(WORDS, WIDTH)
            self.first = torch.nn.Linear(WIDTH, WIDTH)
            self.second = torch.nn.Linear(WIDTH, WIDTH)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.second(torch.relu(self.first(self.table(tokens))))

    folder = tmp_path_factory.mktemp("separate")
    inputs = (torch.arange(32).reshape(4, 8),)
    torchtrt_ws.save(Words(5), folder / "full.pte", arg_inputs=inputs)
    for name, seed in (("stripped", 5), ("other", 6)):
        torchtrt_ws.save(Words(seed), folder / f"{name}.pte", arg_inputs=inputs, weights="separate")
    np.save(folder / "x.npy", inputs[0].numpy())
    return folder


def answer(path: Path, folder: Path, **keywords: Any) -> np.ndarray:
    with torchtrt_ws.load(path, **keywords) as program:
        (y,) = program(np.load(folder / "x.npy"))
        return np.array(y)


@pytest.fixture(scope="module")
def wanted(folder: Path) -> np.ndarray:
    return answer(folder / "full.pte", folder)


@pytest.mark.parametrize("budget", ["100%", "50%", 0])
def test_the_answer_is_that_of_the_whole_program(folder: Path, wanted: np.ndarray, budget: int | str) -> None:
    found = answer(folder / "stripped.pte", folder, weight_streaming_budget=budget)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("verify", ["off", "checksum", "digest"])
def test_the_file_may_be_elsewhere(folder: Path, wanted: np.ndarray, tmp_path: Path, verify: str) -> None:
    shutil.copy(folder / "stripped.pte", tmp_path / "a.pte")
    shutil.copy(folder / "stripped.ptd", tmp_path / "weights.ptd")
    found = answer(tmp_path / "a.pte", folder, data=[tmp_path / "weights.ptd"], verify=verify)
    np.testing.assert_array_equal(found, wanted)


def test_the_budget_is_of_the_weights(folder: Path) -> None:
    with torchtrt_ws.load(folder / "stripped.pte", weight_streaming_budget="50%") as program:
        (engine,) = program.engines
        assert engine.streamable_bytes >= LAYERS
        assert engine.budget_bytes <= engine.streamable_bytes // 2


def test_none_is_an_error_that_names_it(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "stripped.pte", tmp_path / "stripped.pte")
    with pytest.raises(torchtrt_ws.ProgramError, match=r"no file with the weight .*stripped\.ptd beside the program"):
        torchtrt_ws.load(tmp_path / "stripped.pte")
    with pytest.raises(torchtrt_ws.ProgramError, match=r"no file with the weight"):
        torchtrt_ws.load((tmp_path / "stripped.pte").read_bytes())


def test_that_of_another_save_is_refused(folder: Path, tmp_path: Path) -> None:
    """Two exports into one folder under one name: the first program has no weights any more, and says so."""
    shutil.copy(folder / "stripped.pte", tmp_path / "model.pte")
    shutil.copy(folder / "other.ptd", tmp_path / "model.ptd")
    with pytest.raises(torchtrt_ws.ProgramError, match=r"no file with the weight"):
        torchtrt_ws.load(tmp_path / "model.pte")
    shutil.copy(folder / "stripped.pte", tmp_path / "stripped.pte")
    shutil.copy(folder / "other.ptd", tmp_path / "stripped.ptd")
    with pytest.raises(torchtrt_ws.ProgramError, match=r"Another save has replaced it"):
        torchtrt_ws.load(tmp_path / "stripped.pte")


@pytest.mark.parametrize("verify", ["checksum", "digest"])
@pytest.mark.parametrize("kind", ["packed", "table"])
def test_a_changed_byte_is_found(folder: Path, tmp_path: Path, kind: str, verify: str) -> None:
    for name in ("stripped.pte", "stripped.ptd"):
        shutil.copy(folder / name, tmp_path / name)
    (engine,) = pte.read(tmp_path / "stripped.pte").engines
    assert engine.weights is not None
    weight = next(each for each in engine.weights.tensors if (each.shape is not None) == (kind == "table"))
    region = pte.regions_in_data_file(tmp_path / "stripped.ptd")[weight.key]
    data = bytearray((tmp_path / "stripped.ptd").read_bytes())
    data[region.offset + region.size // 2] ^= 1
    (tmp_path / "stripped.ptd").write_bytes(data)
    with pytest.raises(torchtrt_ws.WeightStreamingError, match=weight.name):
        torchtrt_ws.load(tmp_path / "stripped.pte", verify=verify)


def test_check_counts_them(folder: Path) -> None:
    report = torchtrt_ws.check(folder / "stripped.pte")
    (fact,) = [each for each in report.facts if each.name == "data"]
    assert fact.verdict == "ok" and "weights of other files, in" in fact.found


def test_equal_programs_inside_with_other_weights_are_two_engines(tmp_path: Path) -> None:
    """Two tables of one shape: without their weights the programs around them are the same bytes."""
    import torch

    tables = {}
    for seed, name in enumerate(("one", "other")):
        torch.manual_seed(seed)
        tables[name] = torch.nn.Embedding(WORDS, WIDTH).eval()
    tokens = torch.arange(8)
    path = tmp_path / "a.pte"
    torchtrt_ws.save(tables, path, arg_inputs={name: (tokens,) for name in tables}, weights="separate")
    one, other = pte.read(path).engines
    assert one.sha256 == other.sha256 and one.weights != other.weights
    with torchtrt_ws.load(path) as program:
        for name, table in tables.items():
            (found,) = program.run(name, tokens.numpy())
            np.testing.assert_array_equal(np.array(found), table(tokens).detach().numpy())

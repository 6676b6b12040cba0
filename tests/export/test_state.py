"""Buffers that a call changes: kept by host engines, refused where nobody keeps them."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import pytest
import torch

import torchtrt_ws
from tests.export.cached_decoder import STEPS, CachedDecoder, dynamic
from tests.export.cached_decoder import inputs as steps
from torchtrt_ws import pte


class Recorder(torch.nn.Module):
    """Writes a projection of each input into a row of its cache, and counts its calls."""

    cache: torch.Tensor
    calls: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.project = torch.nn.Linear(8, 8)
        self.register_buffer("cache", torch.arange(32.0).reshape(4, 8).clone())
        self.register_buffer("calls", torch.full((1,), 5, dtype=torch.int64))

    def forward(self, x: torch.Tensor, row: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls.add_(1)
        self.cache.index_copy_(0, row, self.project(x))
        return self.cache * 1.0, self.calls + 0


def inputs(row: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((1, 8), row + 0.5), torch.tensor([row])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state") / "recorder.pte"
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Mutation on a buffer")  # it is initialized, whatever exir thinks
        torchtrt_ws.save(Recorder().eval(), path, arg_inputs=inputs(0))
    return path


def test_state_begins_as_the_module_has_it_and_lasts(saved: Path) -> None:
    program, eager = torchtrt_ws.load(saved), Recorder().eval()
    budgets: tuple[int | str, ...] = (0, "100%", "50%", 0, "100%")
    for call, budget in enumerate(budgets):
        cache, calls = program(*inputs(call % 3))
        with torch.no_grad():
            expected = eager(*inputs(call % 3))
        torch.testing.assert_close(cache, expected[0])
        assert calls.item() == expected[1].item() == 6 + call
        program.set_weight_streaming_budget(budget)


def test_each_load_begins_anew(saved: Path) -> None:
    first, second = torchtrt_ws.load(saved), torchtrt_ws.load(saved)
    assert [first(*inputs(0))[1].item() for _ in range(3)] == [6, 7, 8]
    assert second(*inputs(0))[1].item() == 6
    assert torchtrt_ws.load(saved)(*inputs(1))[1].item() == 6


def test_reset_begins_anew(saved: Path) -> None:
    program = torchtrt_ws.load(saved, weight_streaming_budget="50%")
    assert [program(*inputs(0))[1].item() for _ in range(3)] == [6, 7, 8]
    for _ in range(3):
        program.reset_state()
        cache, calls = program(*inputs(2))
        with torch.no_grad():
            expected = Recorder().eval()(*inputs(2))
        torch.testing.assert_close((cache, calls), expected)
    program.set_weight_streaming_budget(0)
    assert program(*inputs(0))[1].item() == 7
    assert program.engines[0].budget_bytes == 0
    program.close()
    with pytest.raises(torchtrt_ws.EngineError):
        program.reset_state()


def test_a_decoder_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "decoder.pte"
    torchtrt_ws.save(CachedDecoder(), path, arg_inputs=steps(), dynamic_shapes=dynamic())
    program, eager = torchtrt_ws.load(path), CachedDecoder()
    for start, count in STEPS:
        (logits,) = program(*steps(count, start))
        with torch.no_grad():
            torch.testing.assert_close(logits, eager(*steps(count, start)))


def test_contexts_would_have_a_state_each(saved: Path) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match="2 contexts of an engine that keeps state from call"):
        torchtrt_ws.load(saved, contexts=2)
    (engine,) = pte.read(saved).engines
    assert engine.metadata.own is not None
    assert engine.metadata.own.keeps_state


def test_methods_keep_state_of_their_own(tmp_path: Path) -> None:
    one, other = Recorder().eval(), Recorder().eval()
    path = tmp_path / "two.pte"
    keywords = {"one": inputs(0), "other": inputs(0)}
    torchtrt_ws.save({"one": one, "other": other}, path, arg_inputs=keywords)  # equal, and not the same
    program = torchtrt_ws.load(path)
    assert [program.run("one", *inputs(0))[1].item() for _ in range(2)] == [6, 7]
    assert program.run("other", *inputs(0))[1].item() == 6


def test_one_buffer_of_two_methods_is_refused(tmp_path: Path) -> None:
    module = Recorder().eval()
    other = copy.copy(module)  # the same tensors
    keywords = {"prefill": inputs(0), "decode": inputs(0)}
    with pytest.raises(torchtrt_ws.ProgramError, match="the buffer 'cache', which 'prefill' changes and 'decode' has"):
        torchtrt_ws.save({"prefill": module, "decode": other}, tmp_path / "a.pte", arg_inputs=keywords)
    assert list(tmp_path.iterdir()) == []


def test_tensorrt_engines_begin_with_zeros(tmp_path: Path) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match="buffer 'cache': found other values than zeros"):
        torchtrt_ws.save(Recorder().eval(), tmp_path / "a.pte", arg_inputs=inputs(0), engine="tensorrt_rtx")


class ChangesItsInput(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x.add_(1)
        return x * 2


def test_an_input_that_is_changed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match="user input mutation"):
        torchtrt_ws.save(ChangesItsInput(), tmp_path / "a.pte", arg_inputs=(torch.ones(2),))

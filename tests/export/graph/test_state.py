"""Buffers that a method changes, as inputs and outputs: evaluated with PyTorch, and as an ONNX model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.export.cached_decoder import HEADS, ROWS, STEPS, WIDTH, CachedDecoder, dynamic, inputs
from tests.export.decoder import export
from torchtrt_ws import ProgramError
from torchtrt_ws.export.graph import cache_update
from torchtrt_ws.export.graph.interface import read_interface
from torchtrt_ws.export.graph.split_method import split_method
from torchtrt_ws.export.graph.state import StatefulMethod, lift_state
from torchtrt_ws.export.graph.subprogram import CannotCutError
from torchtrt_ws.export.graph.weight_uses import read_uses
from torchtrt_ws.export.sources.onnx_model import write_onnx

CACHE = (1, HEADS, ROWS, WIDTH // HEADS)


def lifted(module: torch.nn.Module, arguments: Sequence[torch.Tensor], dynamic_shapes: object = None) -> StatefulMethod:
    with torch.no_grad():
        program = export(module, tuple(arguments), dynamic_shapes).run_decompositions({})
    return lift_state("forward", program)


@pytest.mark.parametrize("write", ["index_copy", "assign", "scatter"])
def test_calls_one_after_the_other_are_those_of_the_module(write: str) -> None:
    method, eager = lifted(CachedDecoder(write), inputs(), dynamic()), CachedDecoder(write)
    assert [(state.buffer, state.in_place) for state in method.states] == [
        ("keys", write != "scatter"),
        ("values", write != "scatter"),
    ]
    module = method.program.module()
    kept = [torch.zeros(CACHE), torch.zeros(CACHE)]
    for start, count in STEPS:
        with torch.no_grad():
            logits, *kept = module(*inputs(count, start), *kept).values()
            torch.testing.assert_close(logits, eager(*inputs(count, start)))
    torch.testing.assert_close(kept, [eager.keys, eager.values])


@pytest.mark.parametrize("write", ["index_copy", "scatter"])
def test_the_onnx_model_computes_it(write: str, tmp_path: Path) -> None:
    reference = pytest.importorskip("onnx.reference")
    method, eager = lifted(CachedDecoder(write), inputs(), dynamic()), CachedDecoder(write)
    interface = read_interface("forward", method.program)
    model = write_onnx("forward", method.program, interface, tmp_path)
    session = reference.ReferenceEvaluator(str(model.path))
    updates = sum(node.op_type == "TensorScatter" for node in session.proto_.graph.node)
    assert updates == (2 if write == "index_copy" else 0)
    kept = [np.zeros(CACHE, np.float32)] * 2
    names = [tensor.name for tensor in interface.inputs]
    for start, count in STEPS:
        given = [each.numpy() for each in inputs(count, start)] + kept
        logits, *kept = session.run(None, dict(zip(names, given, strict=True)))
        with torch.no_grad():
            np.testing.assert_allclose(logits, eager(*inputs(count, start)), rtol=1e-4, atol=1e-5)


class Writes(torch.nn.Module):
    """Writes one row of x, or all, where `index` says."""

    cache: torch.Tensor

    def __init__(self, case: str) -> None:
        super().__init__()
        self.case = case
        self.register_buffer("cache", torch.zeros(1, 2, 8, 4))

    def forward(self, x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        if self.case == "one row":
            self.cache.index_copy_(2, index[:1], x[:, :, :1])
        elif self.case == "rows that anybody may choose":
            self.cache.index_copy_(2, index, x)
        elif self.case == "every second row":
            self.cache.index_copy_(2, torch.arange(0, 6, 2) + index[:1], x)
        elif self.case == "heads":
            self.cache.index_copy_(1, index[:2] * 0 + torch.arange(2), x[:, :2, :1].expand(1, 2, 8, 4))
        elif self.case == "looked at before":
            before = self.cache.sum()
            self.cache.index_copy_(2, torch.arange(3) + index[:1], x)
            return self.cache + before
        return self.cache * 1.0


@pytest.mark.parametrize(
    ("case", "in_place"),
    [
        ("one row", True),
        ("rows that anybody may choose", False),
        ("every second row", False),
        ("heads", False),
        ("looked at before", False),
    ],
)
def test_only_rows_that_are_seen_to_lie_together_are_written_in_place(case: str, in_place: bool) -> None:
    arguments = torch.arange(24.0).reshape(1, 2, 3, 4), torch.tensor([1, 2, 3])
    method, eager = lifted(Writes(case), arguments), Writes(case)
    (state,) = method.states
    assert state.in_place == in_place
    called = [node for node in method.program.graph.nodes if node.target is cache_update.OPERATOR]
    assert len(called) == in_place
    with torch.no_grad():
        result, kept = method.program.module()(*arguments, torch.zeros(1, 2, 8, 4)).values()
        torch.testing.assert_close(result, eager(*arguments))
    torch.testing.assert_close(kept, eager.cache)


def test_a_method_that_changes_nothing_is_left_alone() -> None:
    program = export(torch.nn.Linear(4, 4), (torch.ones(2, 4),))
    method = lift_state("forward", program)
    assert method.program is program
    assert method.states == ()


class Counter(torch.nn.Module):
    count: torch.Tensor

    def __init__(self, begin: int, returned: bool = False) -> None:
        super().__init__()
        self.returned = returned
        self.register_buffer("count", torch.full((1,), float(begin)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count.add_(1)
        return self.count if self.returned else x + self.count


class Scratch(torch.nn.Module):
    """Keeps a sum, and uses a buffer as a variable, which begins with anything."""

    total: torch.Tensor
    variable: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(3))
        self.register_buffer("variable", torch.full((3,), 7.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.variable.copy_(2 * x)
        self.variable.add_(1)
        self.total.add_(self.variable)
        return self.total * 1.0


def test_what_is_written_before_it_is_read_is_no_state() -> None:
    method, eager = lifted(Scratch(), (torch.ones(3),)), Scratch()
    assert [state.buffer for state in method.states] == ["total"]
    kept = torch.zeros(3)
    for value in (1.0, 2.0):
        with torch.no_grad():
            result, kept = method.program.module()(torch.full((3,), value), kept).values()
            torch.testing.assert_close(result, eager(torch.full((3,), value)))


def test_state_that_an_engine_cannot_keep_is_refused() -> None:
    with pytest.raises(ProgramError, match=r"buffer 'count': found other values than zeros"):
        lifted(Counter(5), (torch.ones(1),))
    with pytest.raises(ProgramError, match=r"buffer 'count': found a buffer that a call changes and returns"):
        lifted(Counter(0, returned=True), (torch.ones(1),))


def test_a_split_keeps_state_in_the_first_part() -> None:
    method = lifted(CachedDecoder(), inputs(), dynamic())
    names = [facts.name for facts in read_interface("forward", method.program).outputs]
    parts = split_method(method, read_uses(method.program), ["table.weight"], "head.weight", names)
    assert parts.head is not None
    state = {name for each in method.states for name in (each.input, each.output)}
    of_body = {node.name for node in parts.body.inputs} | {
        facts.name for facts in read_interface("body", parts.body.program).outputs
    }
    assert state <= of_body
    assert not state & {node.name for node in parts.head.inputs}


class Behind(torch.nn.Module):
    """Keeps what is behind its largest weight."""

    last: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 8, bias=False)
        self.register_buffer("last", torch.zeros(2, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.head(torch.relu(self.first(x)))
        result = made + self.last
        self.last.copy_(made)
        return result


def test_state_behind_the_head_keeps_it_in_the_engine() -> None:
    method = lifted(Behind(), (torch.ones(2, 4),))
    names = [facts.name for facts in read_interface("forward", method.program).outputs]
    with pytest.raises(CannotCutError, match="a buffer that the method changes is computed with it"):
        split_method(method, read_uses(method.program), [], "head.weight", names)

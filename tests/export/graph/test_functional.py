"""Methods that write in place, made functional: what they compute, and which of them are traced for it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind

from tests.export.decoder import export
from torchtrt_ws.export.graph.functional import make_functional

Write = Callable[["Module", torch.Tensor], torch.Tensor]


class Module(torch.nn.Module):
    state: torch.Tensor
    other: torch.Tensor
    whole: torch.Tensor
    part: torch.Tensor

    def __init__(self, write: Write) -> None:
        super().__init__()
        self.write = write
        self.register_buffer("state", torch.zeros(4, 3))
        self.register_buffer("other", torch.ones(3, dtype=torch.int64))
        self.register_buffer("whole", torch.zeros(4))
        self.register_buffer("part", self.whole[1:3])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.write(self, x)


def rows(module: Module, x: torch.Tensor) -> torch.Tensor:
    module.state.index_copy_(0, module.other[:2] * torch.arange(2), x[:2])
    return module.state * 2


def assigned(module: Module, x: torch.Tensor) -> torch.Tensor:
    module.state[module.other[:2] * torch.arange(2)] = x[:2]
    return module.state.sum(0) + x


def twice(module: Module, x: torch.Tensor) -> torch.Tensor:
    before = module.state * 1.0
    module.state.add_(1).mul_(x)
    between = module.state.sum()
    module.state.add_(x)
    return before + between + module.state


def temporary(module: Module, x: torch.Tensor) -> torch.Tensor:
    return torch.relu_(x * 2) + torch.nn.functional.linear(x, x).add_(1)[:, :3]


def view_before(module: Module, x: torch.Tensor) -> torch.Tensor:
    total = module.state.view(12).sum()
    module.state.add_(x)
    return module.state + total


def view_after(module: Module, x: torch.Tensor) -> torch.Tensor:
    module.state.add_(x)
    return module.state.t() @ module.state.view(4, 3)


def view_across(module: Module, x: torch.Tensor) -> torch.Tensor:
    flat = module.state.view(12)
    module.state.add_(x)
    return flat * 2


def view_of_a_view(module: Module, x: torch.Tensor) -> torch.Tensor:
    made = x * 2
    first, _ = torch.split(made.t(), [1, 2])
    made.add_(1)
    return first + 1


def perhaps_a_view(module: Module, x: torch.Tensor) -> torch.Tensor:
    made = x * 2
    same = torch.nn.functional.dropout(made, 0.5, False)  # torch gives its input back, and its schema does not say so
    made.add_(1)
    return same + 1


def part_of_it(module: Module, x: torch.Tensor) -> torch.Tensor:
    module.state[1:3] = x[:2]
    return module.state * 2


def other_type(module: Module, x: torch.Tensor) -> torch.Tensor:
    made = x * 2
    made.gt_(1)  # numbers in place, and truth values elsewhere
    return made + x


def shared_memory(module: Module, x: torch.Tensor) -> torch.Tensor:
    module.whole.add_(1)
    return module.part + x[0, 0]


def not_in_order(module: Module, x: torch.Tensor) -> torch.Tensor:
    made = x.t() * 2
    made.add_(1)
    return made.t().view(12)


TOLD = [rows, assigned, twice, temporary, view_before, view_after]
TRACED = [view_across, view_of_a_view, perhaps_a_view, part_of_it, other_type, not_in_order]


@pytest.mark.parametrize("write", [*TOLD, *TRACED], ids=lambda each: each.__name__)
def test_it_computes_and_keeps_the_same(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = Module(write), torch.arange(12.0).reshape(4, 3) + 1
    program = export(module, (x,))
    trace, traces = ExportedProgram.run_decompositions, []

    def counted(self: ExportedProgram, table: dict[object, object]) -> ExportedProgram:
        traces.append(1)
        return trace(self, table)  # type: ignore[arg-type]

    monkeypatch.setattr(ExportedProgram, "run_decompositions", counted)
    functional = make_functional(program)
    assert len(traces) == (write in TRACED)
    assert not any(
        node.target._schema.is_mutable
        for node in functional.graph.nodes
        if isinstance(node.target, torch._ops.OpOverload)
    )
    made, eager = functional.module(), copy.deepcopy(module)
    for _ in range(2):
        with torch.no_grad():
            torch.testing.assert_close(made(x), eager(x))
    torch.testing.assert_close(dict(made.named_buffers())["state"], eager.state)
    expected = trace(program, {}).graph_signature.output_specs
    assert [(each.kind, each.target) for each in functional.graph_signature.output_specs] == [
        (each.kind, each.target) for each in expected
    ]


def test_buffers_in_one_memory_are_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    program = export(Module(shared_memory), (torch.ones(4, 3),))
    sentinel = export(torch.nn.Linear(3, 3), (torch.ones(4, 3),))
    monkeypatch.setattr(ExportedProgram, "run_decompositions", lambda *_: sentinel)
    assert make_functional(program) is sentinel


def test_what_an_input_becomes_is_told() -> None:
    program = export(Module(lambda module, x: x.add_(1) * module.state), (torch.ones(4, 3),))
    specs = make_functional(program).graph_signature.output_specs
    assert [each.kind for each in specs] == [OutputKind.USER_INPUT_MUTATION, OutputKind.USER_OUTPUT]


def test_dimensions_stay_dynamic() -> None:
    def write(module: Module, x: torch.Tensor) -> torch.Tensor:
        return torch.relu_(x - 5)

    shapes = {"x": {0: torch.export.Dim("count", min=1, max=9)}}
    functional = make_functional(export(Module(write), (torch.ones(4, 3),), shapes))
    x = torch.arange(27.0).reshape(9, 3)
    for count in (1, 2, 9):
        torch.testing.assert_close(functional.module()(x[:count]), torch.relu(x[:count] - 5))


def test_what_writes_nothing_in_place_is_left_alone() -> None:
    program = export(torch.nn.Linear(4, 4), (torch.ones(2, 4),))
    assert make_functional(program) is program

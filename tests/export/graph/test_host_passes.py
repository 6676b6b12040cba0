"""The rewrites before XNNPACK: the same results, in fewer partitions, and the same bytes with fewer of its passes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from torchtrt_ws.export.graph import host_passes, xnnpack
from torchtrt_ws.export.sources import host

DIM = torch.export.Dim
HEADS, SIZE = 2, 8
BATCH, TOKENS = DIM("batch", min=1, max=4), DIM("tokens", min=1, max=16)


class Attention(torch.nn.Module):
    """Self-attention as model code writes it out: scaled, masked, and with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (torch.nn.Linear(HEADS * SIZE, HEADS * SIZE) for _ in range(4))

    def heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(x.shape[0], x.shape[1], HEADS, SIZE).transpose(1, 2)

    def scores(self, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return query @ key.transpose(2, 3) / math.sqrt(SIZE) + mask[:, None, None, :]

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> Any:
        query, key, value = (self.heads(each(x)) for each in (self.query, self.key, self.value))
        weights = torch.dropout(self.scores(query, key, mask).softmax(-1), 0.5, self.training)
        return self.out((weights @ value).transpose(1, 2).reshape(x.shape)), weights


class FullMask(Attention):
    """A mask that differs by batch, head and row, on the left; and a number that is a tensor."""

    def scores(self, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        wide = mask[:, None, None, :] + mask[:, None, :, None]
        return wide.expand(-1, HEADS, -1, -1) + query @ key.transpose(-1, -2) * torch.tensor(0.5)


class RowMask(Attention):
    """One mask for all, of two dimensions; one for each sentence; the scores used twice; an operator without a rule."""

    def scores(self, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        scores = query @ key.mT
        scores = scores + scores.mean(dim=(2, 3), keepdim=True)
        scores = scores - mask[0][:, None] * mask[0][None]
        return scores.masked_fill(mask[:, None, None, :] < -1.0, -10.0) + (mask[:, :, None] * mask[:, None, :])[:, None]


class SharedKeys(Attention):
    """Operands that are expanded: one head stands for all."""

    def heads(self, x: torch.Tensor) -> torch.Tensor:
        return super().heads(x)[:, :1].expand(-1, HEADS, -1, -1)


class Broadcast(torch.nn.Module):
    """Products whose leading dimensions differ, on either side; one of them is a result, too."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> Any:
        wide = x.view(x.shape[0], x.shape[1], HEADS, SIZE).transpose(1, 2)
        product, other = wide @ wide.mT, wide[:, :1] @ wide[:, :1].mT * 2
        return product + other, (other - product).softmax(-1) @ wide, other


class Grouped(torch.nn.Module):
    """Products of five dimensions, and of operands that do not agree in theirs."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        wide = x.view(x.shape[0], x.shape[1], 2, 2, 4).permute(0, 2, 3, 1, 4)
        product = (wide @ wide.transpose(3, 4)).softmax(4) @ wide
        return product + wide[:, :1] @ torch.ones(2, 1, 4, 4) + mask.sum()


def lowered(program: torch.export.ExportedProgram) -> Any:
    return host._lower({"forward": program}, "method 'forward'")


def export(module: torch.nn.Module, shapes: Any = ({0: BATCH, 1: TOKENS}, {0: BATCH, 1: TOKENS})) -> Any:
    inputs = (torch.randn(2, 5, HEADS * SIZE), torch.randn(2, 5))
    return torch.export.export(module.eval(), inputs, dynamic_shapes=shapes)


@pytest.mark.parametrize("module", [Attention, FullMask, RowMask, SharedKeys, Broadcast, Grouped])
@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_flat_products_give_the_same_results(module: type[torch.nn.Module], static: bool) -> None:
    torch.manual_seed(0)
    program = export(module(), None if static else ({0: BATCH, 1: TOKENS}, {0: BATCH, 1: TOKENS}))
    flat = host_passes.flatten_matmuls(program)
    assert sum(node.target == torch.ops.aten.bmm.default for node in flat.graph.nodes) >= 2
    for batch, tokens in [(2, 5)] if static else [(2, 5), (1, 1), (4, 16), (3, 1)]:
        inputs = torch.randn(batch, tokens, HEADS * SIZE), torch.randn(batch, tokens)
        torch.testing.assert_close(flat.module()(*inputs), program.module()(*inputs), atol=1e-5, rtol=1e-5)


def test_the_program_given_is_not_changed() -> None:
    program = export(Attention())
    before = str(program.graph)
    host_passes.flatten_matmuls(program)
    assert str(program.graph) == before


def test_an_input_may_be_called_as_something_of_python_is() -> None:
    class Square(torch.nn.Module):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return input @ input.mT

    x = torch.randn(2, HEADS, 3, SIZE)
    (found,) = runner(lowered(torch.export.export(Square(), (x,))))((x,))
    torch.testing.assert_close(found, x @ x.mT)


def test_without_products_it_is_the_program_itself() -> None:
    program = torch.export.export(torch.nn.Linear(4, 4), (torch.ones(2, 4),))
    assert host_passes.flatten_matmuls(program) is program


@pytest.mark.parametrize("module", [Attention, FullMask, RowMask, Broadcast])
def test_lowered_it_equals_eager(module: type[torch.nn.Module]) -> None:
    torch.manual_seed(0)
    made = module()
    run = runner(lowered(export(made)))
    for batch, tokens in ((2, 5), (1, 1), (4, 16)):
        inputs = torch.randn(batch, tokens, HEADS * SIZE), torch.randn(batch, tokens)
        torch.testing.assert_close(tuple(run(inputs)), made(*inputs), atol=1e-5, rtol=1e-5)


def test_attention_of_dynamic_shapes_is_five_partitions() -> None:
    """Three linear layers; their heads; products, mask and softmax; the heads again; the last layer."""
    assert len(delegates(lowered(export(Attention())))) == 5


def test_a_view_with_one_dynamic_dimension_is_left_to_xnnpack() -> None:
    class Reshape(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x + 1).view(x.shape[0], 2, 4).exp()

    program = torch.export.export(Reshape(), (torch.ones(3, 8),), dynamic_shapes=({0: BATCH},))
    nested = lowered(program)
    assert len(delegates(nested)) == 1
    for rows in (1, 4):
        (found,) = runner(nested)((torch.ones(rows, 8),))
        torch.testing.assert_close(found, torch.full((rows, 2, 4), math.exp(2)))


def test_a_convolution_and_its_view_run_at_every_batch() -> None:
    torch.manual_seed(0)
    convolution = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
    module = torch.nn.Sequential(convolution, torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(36, 5)).eval()
    program = torch.export.export(module, (torch.randn(2, 3, 8, 8),), dynamic_shapes=({0: BATCH},))
    run = runner(lowered(program))
    for rows in (1, 2, 4):
        x = torch.randn(rows, 3, 8, 8)
        torch.testing.assert_close(run((x,)), [module(x)], atol=1e-5, rtol=1e-5)


def test_copies_of_inputs_and_in_another_order_stay() -> None:
    class Copies(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (
                x.clone(),
                x.expand(2, 3, 4, 5),
                (x + 1).permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format),
            )

    x = torch.randn(2, 3, 4, 5)
    found = runner(lowered(torch.export.export(Copies(), (x,))))((x,))
    torch.testing.assert_close(tuple(found), Copies()(x))


class Plain(torch.nn.Module):
    """Every operator for which XNNPACK's other passes are skipped."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.weight = torch.nn.Linear(8, 8), torch.nn.Parameter(torch.randn(8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.gelu(self.layer(x)).abs() + 1
        y = torch.maximum(torch.minimum(y.log(), y.exp()), y.sqrt() / y.rsqrt()) - y.sigmoid() * y.tanh()
        y = torch.cat([-y[:, 4:], y[:, :4]], 1) + y.pow(2) + y.unsqueeze(-1).view(-1, 8)
        y = torch.addmm(self.layer.bias, (-y).clamp(-1, 1).softmax(-1), self.weight) @ self.weight
        return torch.bmm(y.view(-1, 2, 4), y.view(-1, 2, 4).permute(0, 2, 1))


class Six(torch.nn.Module):
    """XNNPACK joins five at once; three of these are one node."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.rand(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x * self.scale
        return torch.cat([y, y, y, y + 1, y + 2, y + 3], 1)


@pytest.mark.parametrize("dynamic", [False, True])
def test_fewer_passes_make_the_same_bytes(monkeypatch: pytest.MonkeyPatch, dynamic: bool) -> None:
    torch.manual_seed(0)
    module = Plain()
    program = torch.export.export(module, (torch.randn(3, 8),), dynamic_shapes=({0: BATCH},) if dynamic else None)
    few = lowered(program)
    for rows in (1, 3, 4) if dynamic else (3,):
        x = torch.randn(rows, 8)
        (found,) = runner(few)((x,))
        torch.testing.assert_close(found, module(x), atol=1e-3, rtol=1e-4)
    used = {spec.key for each in few.executorch_program.execution_plan[0].delegates for spec in each.compile_specs}
    assert used == {xnnpack.FEW_PASSES}
    monkeypatch.setattr(xnnpack, "FEW_PASSES", "a_key_that_xnnpack_does_not_know")
    assert delegates(few) == delegates(lowered(program))


@pytest.mark.parametrize(
    "module",
    [
        pytest.param(torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU()), id="a fused activation"),
        pytest.param(torch.nn.Sequential(torch.nn.Conv1d(3, 4, 2), torch.nn.BatchNorm1d(4)), id="batch norm"),
        pytest.param(torch.nn.Linear(8, 8).half(), id="not float32"),
        pytest.param(Six(), id="a cat of six"),
    ],
)
def test_what_needs_the_passes_gets_them(module: torch.nn.Module) -> None:
    x = torch.randn(2, 3, 8).to(next(module.parameters()).dtype)
    nested = lowered(torch.export.export(module.eval(), (x,)))
    (delegate,) = nested.executorch_program.execution_plan[0].delegates
    assert not delegate.compile_specs
    (found,) = runner(nested)((x,))
    torch.testing.assert_close(found, module(x), atol=1e-2 if x.dtype == torch.float16 else 1e-5, rtol=1e-3)


def test_double_precision_is_left_to_the_portable_kernels() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(8, 8)).double()
    x = torch.randn(2, 8, dtype=torch.float64)
    nested = lowered(torch.export.export(module, (x,)))
    assert delegates(nested) == []
    torch.testing.assert_close(runner(nested)((x,)), [module(x)])


def delegates(nested: Any) -> list[bytes]:
    """What XNNPACK was given for each partition."""
    assert {each.id for each in nested.executorch_program.execution_plan[0].delegates} <= {"XnnpackBackend"}
    return [bytes(each.data) for each in nested.executorch_program.backend_delegate_data]


def runner(nested: Any) -> Any:
    """Runs a lowered program with ExecuTorch's own runtime."""
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(bytes(nested.buffer))
    method = program.load_method("forward")

    def run(inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        assert program is not None  # the method does not keep it
        return [each.clone() for each in method.execute(list(inputs))]

    return run

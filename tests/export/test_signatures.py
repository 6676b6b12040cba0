"""Inputs and outputs of every shape a method may have: each runs as eager does, or is refused with one clear error."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

import torchtrt_ws
from torchtrt_ws import blob

Dim = torch.export.Dim
X, Y = torch.randn(2, 8), torch.randn(2, 8)


class Layer(torch.nn.Module):
    """One layer and one constant, for methods written as functions of it."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(8, 8).to(dtype)
        self.register_buffer("constant", torch.arange(3.0))


def module(forward: Callable[..., Any], dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    return type("Method", (Layer,), {"forward": forward})(dtype).eval()  # type: ignore[no-any-return]


def assign_in_place(m: Any, x: Any) -> Any:
    scratch = torch.zeros(2, 8)
    scratch[0] += 1
    return m.layer(x).relu_() + scratch


RUNS = [
    pytest.param(module(lambda m, x, y: (m.layer(x), y)), (X, Y), {}, id="an input is an output"),
    pytest.param(module(lambda m, x: x), (X,), {}, id="nothing but that"),
    pytest.param(module(lambda m, x: (m.layer(x), m.constant)), (X,), {}, id="a constant is an output"),
    pytest.param(module(lambda m, x, y: m.layer(y)), (X, Y), {}, id="an unused input"),
    pytest.param(module(lambda m, x: [m.layer(x)] * 2 + [x + 1]), (X,), {}, id="an output twice"),
    pytest.param(module(lambda m, x, y: m.layer(x) - y), (X, X), {}, id="one tensor for two inputs"),
    pytest.param(module(lambda m, x, *, b, a: m.layer(x) - b + 2 * a), (X,), {"a": Y, "b": X}, id="keywords"),
    pytest.param(
        module(lambda m, d, t: {"a": m.layer(d["p"]), "b": (t[0] + d["q"], [t[1][0] * 2])}),
        ({"p": X, "q": Y}, (X, [Y])),
        {},
        id="nested",
    ),
    pytest.param(module(lambda m, i: i * 2 + 1), (torch.arange(4),), {}, id="int64"),
    pytest.param(module(lambda m, x, b: (torch.where(b, m.layer(x), x), ~b)), (X, X > 0), {}, id="bool"),
    pytest.param(module(lambda m, a, b: (a + a, b + b)), (torch.ones(3).to(torch.int8), torch.ones(3).byte()), {}),
    pytest.param(module(lambda m, x: m.layer(x).relu(), torch.float16), (X.half(),), {}, id="float16"),
    pytest.param(module(lambda m, x: m.layer(x).relu(), torch.bfloat16), (X.bfloat16(),), {}, id="bfloat16"),
    pytest.param(module(lambda m, x: m.layer(x).relu(), torch.float64), (X.double(),), {}, id="float64"),
    pytest.param(module(lambda m, x, k: (m.layer(x) * k).sum()), (X, torch.tensor(2.0)), {}, id="0-d"),
    pytest.param(module(lambda m, x: m.layer(x).t()), (X,), {}, id="a transposed view"),
    pytest.param(module(assign_in_place), (X,), {}, id="in place on a temporary"),
    pytest.param(
        module(lambda m, output, x: {"output": m.layer(x), "x": output}),
        (X, Y),
        {},
        id="names of inputs and outputs clash",
    ),
]


@pytest.mark.parametrize(("method", "arguments", "keywords"), RUNS)
def test_runs_as_eager(
    tmp_path: Path,
    run_nested: Callable[..., Any],
    nested: Callable[..., blob.Blob],
    method: torch.nn.Module,
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
) -> None:
    path = tmp_path / "a.pte"
    torchtrt_ws.save(method, path, arg_inputs=arguments, kwarg_inputs=keywords)
    own = nested(path).metadata.own
    assert own is not None
    names = [tensor.name for tensor in own.inputs + own.outputs]
    assert len(set(names)) == len(names)
    exported = torch.export.export(method, arguments, keywords)
    in_order = {name: keywords[name] for name in inspect.signature(method.forward).parameters if name in keywords}
    inputs = pytree.arg_tree_leaves(*arguments, **in_order)
    assert len(exported.graph_signature.user_inputs) == len(own.inputs) == len(inputs)
    expected = pytree.tree_leaves(method(*arguments, **keywords))
    tolerance = 1e-5 if expected[0].dtype in (torch.float32, torch.float64) else 2e-2
    whole = [torch.from_dlpack(each) for each in torchtrt_ws.load(path)(*inputs)]
    for outputs in (run_nested(path, inputs), whole):
        assert len(outputs) == len(expected) == len(own.outputs)
        for output, reference in zip(outputs, expected, strict=True):
            torch.testing.assert_close(output, reference.contiguous(), atol=tolerance, rtol=tolerance)


def test_names_come_from_the_signature(tmp_path: Path, nested: Callable[..., blob.Blob]) -> None:
    method = module(lambda m, d, *, t: {"a": m.layer(d["p"]), "b": (t[0], t[1] + 1)})
    torchtrt_ws.save(method, tmp_path / "a.pte", arg_inputs=({"p": X},), kwarg_inputs={"t": (X, Y)})
    own = nested(tmp_path / "a.pte").metadata.own
    assert own is not None
    assert [tensor.name for tensor in own.inputs] == ["d_p", "t_0", "t_1"]
    assert [tensor.name for tensor in own.outputs] == ["a", "b_0", "b_1"]


BATCH = Dim("batch", max=8)


@pytest.mark.parametrize(
    ("method", "arguments", "shapes", "output"),
    [
        pytest.param(
            module(lambda m, x: torch.cat([m.layer(x), x])),
            (X,),
            ({0: BATCH},),
            ((-1, 8), (0, 8), (16, 8)),
            id="doubled",
        ),
        pytest.param(
            module(lambda m, x, y: torch.cat([m.layer(x), y])),
            (X, torch.randn(4, 8)),
            ({0: BATCH}, {0: 2 * BATCH}),
            ((-1, 8), (0, 8), (24, 8)),
            id="a derived dimension",
        ),
        pytest.param(
            module(lambda m, x: m.layer(x).view(-1, 16)),
            (torch.randn(4, 8),),
            ({0: 2 * BATCH},),
            ((-1, 16), (2, 16), (8, 16)),
            id="half of a derived dimension",
        ),
        pytest.param(
            module(lambda m, x: m.layer(x)[:, None, :, None].relu().unsqueeze(-1)),
            (torch.randn(2, 3, 8),),
            ({0: BATCH, 1: Dim("tokens", max=16)},),
            ((-1, 1, -1, 1, 8, 1), (0, 1, 0, 1, 8, 1), (8, 1, 16, 1, 8, 1)),
            id="unsqueeze with two dynamic dimensions, which XNNPACK does not take",
        ),
    ],
)
def test_dynamic_shapes(
    tmp_path: Path,
    run_nested: Callable[..., Any],
    nested: Callable[..., blob.Blob],
    method: torch.nn.Module,
    arguments: tuple[Any, ...],
    shapes: Any,
    output: tuple[tuple[int, ...], ...],
) -> None:
    torchtrt_ws.save(method, tmp_path / "a.pte", arg_inputs=arguments, dynamic_shapes=shapes)
    own = nested(tmp_path / "a.pte").metadata.own
    assert own is not None
    assert (own.outputs[0].shape, own.outputs[0].min, own.outputs[0].max) == output
    for factor in (1, 2):
        inputs = [torch.cat([argument] * factor) for argument in arguments]
        (result,) = run_nested(tmp_path / "a.pte", inputs)
        torch.testing.assert_close(result, method(*inputs), atol=1e-5, rtol=1e-5)
        (whole,) = torchtrt_ws.load(tmp_path / "a.pte")(*inputs)
        torch.testing.assert_close(torch.from_dlpack(whole), method(*inputs), atol=1e-5, rtol=1e-5)


def change_input(m: Any, x: Any) -> Any:
    x.add_(1)
    return m.layer(x)


CHANNELS_LAST = torch.randn(1, 3, 4, 4).to(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("method", "arguments", "shapes", "words"),
    [
        pytest.param(module(lambda m, x, k: m.layer(x) * k), (X, 2.5), None, "input 'k': found 2.5", id="a number"),
        pytest.param(module(lambda m, x, k: m.layer(x)), (X, None), None, "input 'k': found None", id="None"),
        pytest.param(module(lambda m, x: (m.layer(x), 3)), (X,), None, "output 1: found 3", id="a number returned"),
        pytest.param(module(lambda m, x: (m.layer(x), None)), (X,), None, "output 1: found None", id="None returned"),
        pytest.param(module(lambda m, x: (m.layer(x), m.layer.weight)), (X,), None, "'layer.weight'", id="a weight"),
        pytest.param(module(change_input), (X,), None, "'x', which a call changes", id="a changed input"),
        pytest.param(module(lambda m, x: x.nonzero()), (X,), None, "'output'.*dimension 0", id="size from data"),
        pytest.param(module(lambda m, x: x + 1), (X.t(),), None, r"'x'.*order \[1, 0\]", id="not contiguous"),
        pytest.param(module(lambda m, x: x + 1), (CHANNELS_LAST,), None, "channels_last", id="channels last"),
        pytest.param(module(lambda m, x: x * 2), (X * 1j,), None, "complex64", id="complex"),
        pytest.param(module(lambda m: m.constant * 2), (), None, "no input tensors", id="no inputs"),
        pytest.param(module(lambda m, x: None), (X,), None, "output 0: found None", id="no outputs"),
        pytest.param(module(lambda m, x: torch.linalg.svd(x)[1]), (X,), None, "kernel.*svd", id="no kernel"),
        pytest.param(module(lambda m, x: m.layer(x)), ("x",), None, "'forward'", id="a string"),
        pytest.param(module(lambda m, x: m.layer(x)), (X,), ({0: Dim("n")},), "no upper bound.*Dim", id="unbounded"),
        pytest.param(module(lambda m, x: m.layer(x)), (X,), ({0: Dim.AUTO},), "no upper bound", id="automatic bound"),
        pytest.param(
            module(lambda m, x: m.layer(x)), (X,), ({1: Dim("n", max=9)},), "UserError|Constraint", id="not dynamic"
        ),
        pytest.param(module(lambda m, x: x + 1), (X.to("meta"),), None, "'x': found device meta", id="another device"),
        pytest.param(
            torch.nn.Linear(8, 8, device="meta"), (X,), None, "(?s)device|meta", id="weights on another device"
        ),
    ],
)
def test_refused_with_a_clear_error(
    tmp_path: Path, method: torch.nn.Module, arguments: tuple[Any, ...], shapes: Any, words: str
) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=words) as caught:
        torchtrt_ws.save(method, tmp_path / "a.pte", arg_inputs=arguments, dynamic_shapes=shapes)
    assert "method 'forward'" in str(caught.value)
    assert len(str(caught.value)) < 800
    assert list(tmp_path.iterdir()) == []


def test_keyword_inputs_take_the_order_of_the_signature(tmp_path: Path, run_nested: Callable[..., Any]) -> None:
    """Two inputs of one dtype and shape: nobody would notice that they are swapped."""
    difference = module(lambda m, a, b: a - 2 * b + m.layer(a))
    path = tmp_path / "a.pte"
    torchtrt_ws.save(difference, path, kwarg_inputs={"b": Y, "a": X})
    with torch.no_grad():
        torch.testing.assert_close(run_nested(path, [X, Y])[0], difference(X, Y), rtol=1e-4, atol=1e-4)

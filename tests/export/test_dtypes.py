"""Host engines take each dtype that ExecuTorch has kernels for, and a save says where it has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

import torchtrt_ws
from torchtrt_ws.dtypes import ENGINE_DTYPES
from torchtrt_ws.export.sources.host_kernels import COMPUTED, COPIES

ONLY_COPIED = [name for name in ENGINE_DTYPES if name not in COMPUTED]
ROWS = torch.tensor([0, 2, 1])


Functions = Mapping[str, Callable[[torch.Tensor], torch.Tensor]]


class Applied(torch.nn.Module):
    """An output for each function."""

    def __init__(self, functions: Functions) -> None:
        super().__init__()
        self.functions = functions

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [function(x) for function in self.functions.values()]


def values(dtype: str) -> torch.Tensor:
    """[3, 4]"""
    return (torch.arange(12) % 2).reshape(3, 4).to(getattr(torch, dtype))


def run(functions: Functions, x: torch.Tensor, folder: Path) -> None:
    """Saves and runs them, and compares."""
    torchtrt_ws.save(Applied(functions), folder / "a.pte", arg_inputs=(x,))
    outputs = torchtrt_ws.load(folder / "a.pte")(x)
    for (name, function), found in zip(functions.items(), outputs, strict=True):
        wanted = function(x)
        assert found.dtype == wanted.dtype, name
        assert torch.equal(torch.as_tensor(found).double(), wanted.double()), name


# What copies, in kernels of each name in COPIES that torch has an operator for which takes these dtypes.
COPYING: Functions = {
    "nothing": lambda x: x,
    "clone": lambda x: x.clone(),
    "view": lambda x: x.view(12),
    "expand": lambda x: x.view(3, 1, 4).expand(3, 2, 4),
    "repeat": lambda x: x.repeat(2, 1),
    "slice": lambda x: x[1:, ::2],
    "select": lambda x: x[:, 1],
    "squeeze": lambda x: x.view(1, 3, 4).squeeze(0),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "index": lambda x: x[ROWS],
    "index_select": lambda x: x.index_select(0, ROWS),
    "embedding": lambda x: torch.nn.functional.embedding(ROWS, x),
    "unbind": lambda x: torch.unbind(x)[0],
    "repeat_interleave": lambda x: x.repeat_interleave(2, 0),
    "roll": lambda x: x.roll(1, 0),
}


@pytest.mark.parametrize("dtype", ONLY_COPIED)
def test_each_dtype_is_copied(dtype: str, tmp_path: Path) -> None:
    run(COPYING, values(dtype), tmp_path)


@pytest.mark.parametrize("dtype", COMPUTED)
def test_these_are_computed_with(dtype: str, tmp_path: Path) -> None:
    functions: Functions = {
        "to": lambda x: x.to(torch.float32),
        "add": lambda x: x + x,
        "stack": lambda x: torch.stack([x, x]),
        "permute": lambda x: x.permute(1, 0).contiguous(),
    }
    run(functions, values(dtype), tmp_path)


COMPUTING: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "to": (lambda x: x.to(torch.float32), "_to_dim_order_copy"),
    "stack": (lambda x: torch.stack([x, x]), "aten::cat"),  # a list of tensors
    "permute": (lambda x: x.permute(1, 0).contiguous(), "aten::permute_copy"),
    "flip": (lambda x: x.flip(0), "aten::flip"),
    "split": (lambda x: torch.split(x, 2, 1)[0], "aten::split"),
    "full": (lambda x: torch.ones_like(x), "aten::full_like"),
    "equal": (lambda x: x == x.clone(), "aten::eq"),
    "pad": (lambda x: torch.nn.functional.pad(x, (1, 1)), "aten::constant_pad_nd"),
}


# Each of them, and each dtype.
@pytest.mark.parametrize(
    ("case", "dtype"), [(case, ONLY_COPIED[0]) for case in COMPUTING] + [("to", dtype) for dtype in ONLY_COPIED[1:]]
)
def test_what_would_fail_in_each_run_is_not_saved(
    case: str, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, operator = COMPUTING[case]
    with pytest.raises(torchtrt_ws.ProgramError, match=rf"{operator}\w* of {dtype}; expected .*: bool, .* convert"):
        run({case: function}, values(dtype), tmp_path)
    assert not list(tmp_path.iterdir())
    # And it would fail.
    monkeypatch.setattr("torchtrt_ws.export.sources.host_kernels.check_dtypes", lambda *_: None)
    with pytest.raises(torchtrt_ws.EngineError, match=r"Unhandled dtype|isRealHBBF16Type|found Error::"):
        run({case: function}, values(dtype), tmp_path)


def test_outputs_and_weights_too(tmp_path: Path) -> None:
    class Narrow(torch.nn.Module):
        weight: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.ones(4).to(torch.float8_e4m3fn))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.weight.float()

    x = torch.ones(3, 4)
    with pytest.raises(torchtrt_ws.ProgramError, match="_to_dim_order_copy of uint16"):
        torchtrt_ws.save(Applied({"to": lambda x: x.to(torch.uint16)}), tmp_path / "a.pte", arg_inputs=(x,))
    with pytest.raises(torchtrt_ws.ProgramError, match="_to_dim_order_copy of float8_e4m3fn"):
        torchtrt_ws.save(Narrow(), tmp_path / "a.pte", arg_inputs=(x,))


def test_state_too(tmp_path: Path) -> None:
    class Last(torch.nn.Module):
        """What the call before was given."""

        last: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("last", torch.zeros(4).to(torch.uint16))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            before = self.last.clone()
            self.last.copy_(x)
            return before

    torchtrt_ws.save(Last(), tmp_path / "a.pte", arg_inputs=(values("uint16")[0],))
    program = torchtrt_ws.load(tmp_path / "a.pte")
    program(values("uint16")[1])
    (found,) = program(torch.zeros(4).to(torch.uint16))
    assert list(found) == values("uint16")[1].tolist()


def test_names_of_copies_are_kernels() -> None:
    from executorch.runtime import Runtime

    names = {name.partition("::")[2].partition(".")[0] for name in Runtime.get().operator_registry.operator_names}
    assert names >= COPIES

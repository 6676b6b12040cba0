"""Parts of a method compute what the method does: evaluated with PyTorch, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from tests.export.decoder import Decoder, dynamic, export, ids
from torchtrt_ws.blob import ProfileBounds
from torchtrt_ws.export.graph.interface import read_interface
from torchtrt_ws.export.graph.part_profiles import part_profiles
from torchtrt_ws.export.graph.split_method import SplitMethod, split_method
from torchtrt_ws.export.graph.state import lift_state
from torchtrt_ws.export.graph.subprogram import CannotCutError
from torchtrt_ws.export.graph.weight_uses import read_uses


def split(
    program: torch.export.ExportedProgram, tables: Sequence[str] = ("table.weight",), head: str | None = "head.weight"
) -> SplitMethod:
    names = [facts.name for facts in read_interface("forward", program).outputs]
    return split_method(lift_state("forward", program), read_uses(program), tables, head, names)


def evaluate(parts: SplitMethod, *inputs: torch.Tensor) -> list[torch.Tensor]:
    """The parts in PyTorch: lookups from the nodes of the method, then each part with what it takes."""
    values: dict[torch.fx.Node, Any] = {}
    given = iter(inputs)
    for node in parts.whole.graph.nodes:
        if node.op == "placeholder":
            spec = next(s for s in parts.whole.graph_signature.input_specs if s.arg.name == node.name)
            held = {**parts.whole.state_dict, **parts.whole.constants}
            values[node] = held[spec.target] if spec.target is not None else next(given)
    for node in parts.lookups:
        arguments = torch.fx.node.map_arg(node.args, lambda each: values[each])
        values[node] = node.target(*arguments, **node.kwargs)  # type: ignore[operator]
    for part, outputs in ((parts.body, parts.body_outputs), (parts.head, parts.head_outputs)):
        if part is not None:
            results = part.program.module()(*(values[node] for node in part.inputs))
            flat = torch.utils._pytree.tree_leaves(results)
            values.update(zip(outputs, flat, strict=True))
    return [values[node] for node in parts.whole.graph.output_node().args[0]]  # type: ignore[misc,union-attr]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("head", ["head.weight", None])
def test_parts_compute_the_same(tied: bool, head: str | None) -> None:
    module = Decoder(tied)
    program = export(module, (ids(),), dynamic())
    table = next(each.name for each in read_uses(program).weights if each.lookups)
    parts = split(program, [table], table if tied and head else head)
    for batch, length in ((2, 5), (1, 2), (4, 16)):
        (found,) = evaluate(parts, ids(batch, length))
        torch.testing.assert_close(found, module(ids(batch, length)))


def test_each_weight_is_in_one_part() -> None:
    program = export(Decoder(), (ids(),), dynamic())
    parts = split(program)
    assert parts.head is not None
    body, head = parts.body.program.state_dict, parts.head.program.state_dict
    assert set(head) == {"head.weight"}
    assert set(body) == set(program.state_dict) - {"head.weight", "table.weight"}
    assert all(body[name] is program.state_dict[name] for name in body)  # nothing is copied


def test_what_parts_take_and_give() -> None:
    parts = split(export(Decoder(), (ids(),), dynamic()))
    assert parts.head is not None
    body, head = (read_interface("forward", part.program) for part in (parts.body, parts.head))
    (rows,) = body.inputs  # and not the ids, of which the engine needs the length alone
    assert (rows.name, rows.min, rows.max) == ("embedding", (1, 2, 32), (4, 16, 32))
    assert [each.name for each in body.outputs] == [each.name for each in head.inputs]
    (logits,) = head.outputs
    assert (logits.name, logits.min, logits.max) == ("output", (1, 2, 500), (4, 16, 500))


class TwoResults(Decoder):
    def forward(self, ids: torch.Tensor, scale: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
        hidden = self.norm(self.down(self.up(self.table(ids)))) * scale
        logits = self.head(hidden).view(ids.shape[0] * ids.shape[1], -1) / scale
        return {"hidden": hidden, "logits": logits, "best": logits.argmax(-1)}


def test_results_of_both_parts() -> None:
    module = TwoResults()
    inputs = (ids(), torch.tensor([2.0]))
    parts = split(export(module, inputs, {**dynamic(), "scale": None}))
    assert parts.head is not None
    names = [
        [each.name for each in read_interface("forward", part.program).outputs] for part in (parts.body, parts.head)
    ]
    assert names == [["hidden"], ["logits", "best"]]
    assert [node.name for node in parts.head.inputs] == ["scale", parts.body_outputs[0].name]  # where it is used
    for found, expected in zip(evaluate(parts, *inputs), module(*inputs).values(), strict=True):
        torch.testing.assert_close(found, expected)


class Returned(Decoder):
    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:  # type: ignore[override]
        rows = self.table(ids)
        return rows, self.head(rows)


class HeadOnly(Decoder):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x)


@pytest.mark.parametrize(
    ("module", "inputs", "tables", "words"),
    [
        (Returned(), (ids(),), ("table.weight",), "returns 'embedding'"),
        (HeadOnly(), (torch.ones(2, 32),), (), "nothing lies before it"),
    ],
)
def test_what_cannot_be_cut(
    module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], tables: Sequence[str], words: str
) -> None:
    with pytest.raises(CannotCutError, match=words):
        split(export(module, inputs), tables)


def test_profiles_of_parts() -> None:
    program = export(Decoder(), (ids(),), dynamic())
    parts = split(program)
    whole, body = read_interface("forward", program), read_interface("forward", parts.body.program)
    profiles = ((ProfileBounds("ids", (1, 8), (2, 12), (2, 16)),), (ProfileBounds("ids", (4, 2), (4, 2), (4, 2)),))
    assert part_profiles(profiles, whole, body) == (
        (ProfileBounds("embedding", (1, 8, 32), (2, 12, 32), (2, 16, 32)),),
        (ProfileBounds("embedding", (4, 2, 32), (4, 2, 32), (4, 2, 32)),),
    )


class Noisy(Decoder):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        noise = torch.rand(32)
        return self.head(self.norm(x + noise)) * noise.sum()


def test_random_numbers_are_drawn_once() -> None:
    parts = split(export(Noisy(), (torch.ones(2, 32),)), ())
    assert parts.head is not None
    drawn = [[str(node.target) for node in part.program.graph.nodes].count("aten.rand.default") for part in parts.parts]
    assert drawn == [1, 0]


def test_a_decoder_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=500,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
    )

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = transformers.LlamaForCausalLM(config)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(input_ids=ids, use_cache=False).logits
            return logits

    module = Logits().eval()
    parts = split(export(module, (ids(),), dynamic()), ["model.model.embed_tokens.weight"], "model.lm_head.weight")
    assert [node.name for node in parts.body.inputs] == ["embedding"]
    for batch, length in ((2, 5), (4, 16)):
        (found,) = evaluate(parts, ids(batch, length))
        torch.testing.assert_close(found, module(ids(batch, length)))

"""Engines in one method, connected by names."""

from __future__ import annotations

import pytest

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.graph.wiring import Ports, Step, Wiring, wire
from torchtrt_ws.export.tensor_text import parse_tensors, tensor_text


def ports(inputs: str, outputs: str) -> Ports:
    return Ports(parse_tensors(inputs.split(), "inputs"), parse_tensors(outputs.split(), "outputs"))


def connect(**engines: tuple[str, str]) -> Wiring:
    return wire("forward", {name: ports(*sides) for name, sides in engines.items()})


def test_one() -> None:
    wiring = connect(a=("x:int8:2 m:int8:2", "y:int8:2 z:int8:3"))
    assert [tensor_text(each) for each in wiring.inputs] == ["x:int8:2", "m:int8:2"]
    assert wiring.steps == (Step("a", (("", 0), ("", 1))),)
    assert wiring.outputs == (("a", 0), ("a", 1))


def test_a_chain_in_any_order() -> None:
    wiring = connect(last=("h:int8:1..8 x:int8:2", "y:int8:1..8"), first=("x:int8:2", "h:int8:1..8"))
    assert [step.engine for step in wiring.steps] == ["first", "last"]
    assert wiring.steps[1].sources == (("first", 0), ("", 0))
    assert wiring.outputs == (("last", 0),)


def test_two_towers_on_one_input() -> None:
    wiring = connect(a=("x:int8:1..8", "y:int8:1..8"), b=("x:int8:4..16", "y:int8:4..16"))
    assert [tensor_text(each) for each in wiring.inputs] == ["x:int8:4..8"]  # what suits both
    assert wiring.outputs == (("a", 0), ("b", 0))  # nothing takes y: they are two outputs


def test_two_towers_that_meet() -> None:
    wiring = connect(a=("x:int8:2", "u:int8:2"), b=("z:int8:2", "v:int8:2"), c=("v:int8:2 u:int8:2", "y:int8:2"))
    assert wiring.steps[2] == Step("c", (("b", 0), ("a", 0)))
    assert wiring.outputs == (("c", 0),)


@pytest.mark.parametrize(
    ("engines", "words"),
    [
        ({"a": ("x:int8:2", "y:int8:2"), "b": ("x:int8:3", "z:int8:3")}, "x:int8:3.*x:int8:2"),
        ({"a": ("x:int8:2", "y:int8:2"), "b": ("x:uint8:2", "z:int8:3")}, "under that name"),
        ({"a": ("x:int8:2", "y:int8:2"), "b": ("x:int8:2x1", "z:int8:3")}, "under that name"),
        ({"a": ("x:int8:2", "h:int8:1..8"), "b": ("h:int8:1..4", "z:int8:3")}, "h:int8:1..8; expected one within"),
        ({"a": ("x:int8:2", "h:int8:2"), "b": ("x:int8:2", "h:int8:2"), "c": ("h:int8:2", "y:int8:2")}, "'a' and 'b'"),
        ({"a": ("x:int8:2", "y:int8:2"), "b": ("y:int8:2", "x:int8:2")}, "wait for each other: a, b"),
    ],
)
def test_refused(engines: dict[str, tuple[str, str]], words: str) -> None:
    with pytest.raises(ProgramError, match=words):
        connect(**engines)

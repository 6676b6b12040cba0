"""What is taken out of an engine: decided from names, sizes and uses alone."""

from __future__ import annotations

import re
from typing import Any

import pytest

import torchtrt_ws
from torchtrt_ws.export.streaming import StreamingOptions
from torchtrt_ws.export.streaming.choice import Choice, Weight, choose, fused, scratch
from torchtrt_ws.export.streaming.names import check_heads, head_name
from torchtrt_ws.export.streaming.options import read_streaming

OPTIONS = StreamingOptions(min_table_bytes=100, min_head_bytes=200)
TABLE = Weight("table", 1050, lookups=1)
HEAD = Weight("head", 1050, others=1, fused_with="last", behind=4)
GATE, UP = (Weight(name, 117, others=1, fused_with="middle", behind=3000) for name in ("gate", "up"))
DOWN = Weight("down", 117, others=1, fused_with="other", behind=2000)
TIED = Weight("tied", 1050, lookups=1, others=1, fused_with="last", behind=4)


def changed(options: StreamingOptions = OPTIONS, **keywords: Any) -> StreamingOptions:
    return StreamingOptions(**{**vars(options), **keywords})


@pytest.mark.parametrize(
    ("weights", "options", "tables", "head", "note"),
    [
        ([TABLE, GATE, UP, DOWN, HEAD], OPTIONS, ("table",), "head", ""),
        ([TABLE, GATE, UP, DOWN, HEAD], changed(host_tables=False), (), None, ""),  # the table is as large
        ([TABLE, GATE, UP, DOWN, HEAD], changed(head_engine=False), ("table",), None, ""),
        ([TABLE, HEAD], changed(min_table_bytes=1051), (), None, ""),
        ([TABLE, HEAD], changed(min_head_bytes=1051), ("table",), None, ""),
        ([TIED, GATE, UP, DOWN], OPTIONS, ("tied",), "tied", "tied.*two copies"),
        ([TIED, GATE, UP, DOWN], changed(host_tables=False), (), None, ""),
        ([Weight("table", 1050, 1, stays="computed")], OPTIONS, (), None, "table 'table' of 1050 .*: computed"),
        ([Weight("both", 500, 1, 2), HEAD], OPTIONS, ("both",), "head", "both.*two copies"),
        ([HEAD, Weight("middle", 1049, 0, 1)], OPTIONS, (), "head", ""),
        ([HEAD, Weight("rival", 1050, 0, 1)], OPTIONS, (), None, ""),
        ([HEAD, GATE, Weight("up", 1000, 0, 1, "", "middle", 9)], OPTIONS, (), None, ""),  # 1117 as one
        ([Weight("first", 900, 0, 1, "", "x", 117), DOWN], OPTIONS, (), None, "117 bytes of other weights"),
        ([Weight("used", 900, 0, 2), DOWN], OPTIONS, (), None, "not just the matrix of one"),
        ([Weight("small", 199, 0, 1, "", "x", 0)], OPTIONS, (), None, ""),
        ([], OPTIONS, (), None, ""),
    ],
)
def test_what_is_taken_out(
    weights: list[Weight], options: StreamingOptions, tables: tuple[str, ...], head: str | None, note: str
) -> None:
    choice = choose(weights, options)
    assert (choice.tables, choice.head) == (tables, head)
    if note:
        (found,) = choice.notes
        assert re.search(note, found)
    else:
        assert choice.notes == ()


def test_order_does_not_matter() -> None:
    weights = [TABLE, GATE, UP, DOWN, HEAD]
    assert choose(weights[::-1], OPTIONS) == choose(weights, OPTIONS) == Choice(("table",), "head")


def test_weights_of_one_input_are_one() -> None:
    assert fused([GATE, DOWN, UP]) == [("gate + up", 234), ("down", 117)]


def test_what_was_measured() -> None:
    """The numbers of an H100, in MB: 2.10, 1.29 and 0.47 GB."""
    layers = [
        Weight(f"{name}{layer}", 117, 0, 1, "", f"{'in' if name != 'down' else 'out'}{layer}")
        for layer in range(2)
        for name in ("gate", "up", "down")
    ]
    assert scratch(fused([TABLE, *layers, HEAD])) == 2100
    assert scratch(fused([TABLE, *layers, HEAD], without=["table"])) == 1050 + 234
    assert scratch(fused(layers)) == 468


def test_a_tied_weight_counts_for_each_use() -> None:
    assert fused([TIED]) == [("tied (table)", 1050), ("tied", 1050)]
    assert fused([TIED], without=["tied"]) == [("tied", 1050)]


def test_the_keyword() -> None:
    off = StreamingOptions(host_tables=False, head_engine=False)
    assert read_streaming(None, "tensorrt_rtx") == read_streaming(True, "tensorrt_rtx") == StreamingOptions()
    assert read_streaming(False, "tensorrt_rtx") == off
    assert read_streaming(OPTIONS, "tensorrt_rtx") is OPTIONS
    for engine in (None, "host"):
        assert read_streaming(None, engine) == read_streaming(False, engine) == off


@pytest.mark.parametrize(
    ("given", "engine", "words"),
    [
        (1, "tensorrt_rtx", "streaming: found 1"),
        ("on", "tensorrt_rtx", "found 'on'"),
        (StreamingOptions(min_table_bytes=-1), "tensorrt_rtx", "min_table_bytes: found -1"),
        (StreamingOptions(min_head_bytes=True), "tensorrt_rtx", "min_head_bytes: found True"),
        (StreamingOptions(host_tables=1), "tensorrt_rtx", "host_tables: found 1"),  # type: ignore[arg-type]
        (True, None, "found True for an engine 'host'"),
        (StreamingOptions(), "host", "for an engine 'host'"),
    ],
)
def test_a_keyword_that_cannot_be(given: Any, engine: str | None, words: str) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=words):
        read_streaming(given, engine)


def test_names() -> None:
    assert head_name("forward") == "forward_head"
    assert len(head_name("x" * 39)) == 39
    check_heads(["a", "b"], ["a_head", "b_head"])
    with pytest.raises(torchtrt_ws.ProgramError, match=r"'a_head'.*streaming="):
        check_heads(["a", "a_head"], ["a_head"])
    with pytest.raises(torchtrt_ws.ProgramError, match="as another does"):
        check_heads(["x" * 38, "x" * 39], [head_name("x" * 38), head_name("x" * 39)])

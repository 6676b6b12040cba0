"""Several contexts: calls at the same time, on host engines and on natives that wait to be told. TensorRT's are in
standin_cases.py."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import torchtrt_ws
from torchtrt_ws.runtime.contexts import Contexts
from torchtrt_ws.runtime.native import _native

MIB = 2**20


def until(count: Callable[[], int], wanted: int) -> None:
    deadline = time.monotonic() + 60
    while count() != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def of(*natives: str) -> Any:
    """Contexts do not look into what they hand out."""
    return Contexts(cast(Any, natives))


def test_as_many_calls_as_contexts_and_the_others_in_order() -> None:
    natives = ["a", "b"]
    contexts = of(*natives)
    running: list[tuple[int, Any]] = []
    ends = [threading.Event() for _ in range(7)]

    def call(number: int) -> None:
        with contexts.taken() as native:
            running.append((number, native))
            assert ends[number].wait(60)

    with ThreadPoolExecutor(len(ends)) as pool:
        calls = []
        for number in range(len(ends)):
            calls.append(pool.submit(call, number))
            until(lambda: len(running) + len(contexts._waiting), number + 1)
        assert sorted(native for _, native in running) == natives, "two at the same time"
        for number, end in enumerate(ends):
            end.set()
            calls[number].result(60)
            until(lambda: len(running), min(number + 3, len(ends)))
    assert [number for number, _ in running] == list(range(len(ends)))
    assert sorted(contexts._free) == natives


def test_a_call_that_fails_gives_its_context_back() -> None:
    contexts = of("a", "b")
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), contexts.taken():
            raise ZeroDivisionError
    with contexts.taken() as first, contexts.taken() as second:
        assert {first, second} == {"a", "b"}


def test_one_thread_uses_one_context() -> None:
    """Its memory is warm, and what it captured as a graph is there."""
    contexts = of("a", "b", "c")
    used = []
    for _ in range(5):
        with contexts.taken() as native:
            used.append(native)
    assert used == ["a"] * 5


def test_host_answers_from_threads(plain: Path, x: np.ndarray, want: np.ndarray) -> None:
    program = torchtrt_ws.load(plain, contexts=3, weight_streaming_budget="50%")
    (engine,) = program.engines
    kept = engine.budget_bytes
    assert 0 < kept < engine.streamable_bytes

    def call(_: int) -> None:
        (got,) = program(x)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(call, range(200)))
        for budget in ("25%", 0, "100%", "50%"):
            runs = pool.map(call, range(20))
            program.set_weight_streaming_budget(budget)
            list(runs)
    assert engine.runs == 280
    assert engine.budget_bytes == kept


def test_host_budgets_are_those_of_all_contexts(plain: Path, x: np.ndarray) -> None:
    program = torchtrt_ws.load(plain, contexts=3, weight_streaming_budget=0)
    (engine,) = program.engines

    def resident() -> list[int]:
        """Of each context, after a run."""
        natives = [program._contexts.take() for _ in range(3)]
        for native in natives:
            native.execute("forward", [x])
        reports = [_native.engine_report(i) for native in natives for i in native.engine_ids()]
        for native in natives:
            program._contexts.give_back(native)
        return [report["device_bytes"] for report in reports]

    assert resident() == [0, 0, 0]
    for change in (program.set_weight_streaming_budget, engine.set_budget):
        for budget in (MIB, 4 * MIB, 0):
            change(budget)
            assert (engine.budget_bytes, resident()) == (budget, [budget] * 3)
            assert engine.device_bytes == budget, "their pages are the same"
    with torchtrt_ws.weight_streaming(program) as ctx:
        ctx.device_budget = MIB
        assert (ctx.device_budget, ctx.total_device_budget) == (MIB, engine.streamable_bytes)
        assert resident() == [MIB] * 3
    assert resident() == [0, 0, 0]


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"contexts": 2, "mmap": False}, "contexts=2: found mmap=False; expected a mapped file"),
        ({"contexts": 2, "share_engines": False}, "found share_engines=False; expected a mapped file"),
        ({"contexts": 0}, "contexts: found 0; expected an int from 1 to 1024"),
        ({"contexts": 1025}, "contexts: found 1025"),
        ({"contexts": True}, "contexts: found True"),
        ({"contexts": "2"}, "contexts: found 2; expected an int"),
    ],
    ids=str,
)
def test_what_cannot_be(plain: Path, keywords: Any, words: str) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=words.replace("(", r"\(")):
        torchtrt_ws.load(plain, **keywords)

"""A program behind a server, without one: what shares a call, who gets which answer, budgets, health."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import torchtrt_ws
from torchtrt_ws.errors import BudgetError, EngineError, ProgramError
from torchtrt_ws.serve.counters import summed
from torchtrt_ws.serve.served_program import Request, ServedProgram
from torchtrt_ws.serve.shapes import method_shapes

FEATURES, MOST_ROWS = 256, 16


def some_rows(count: int, seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "x": random.standard_normal((count, FEATURES)).astype(np.float32),
        "shift": random.standard_normal((count, 1)).astype(np.float32),
    }


def requests(*tensors: dict[str, Any]) -> list[Request]:
    return [Request(each, 0) for each in tensors]


@pytest.fixture
def served(files: dict[str, Path]) -> ServedProgram:
    return ServedProgram(str(files["rows"]), max_batch_size=8)


def test_rows_share_calls_and_everyone_has_his_own(files: dict[str, Path], served: ServedProgram) -> None:
    counts = [1, 3, 4, 2, 8, 1]
    given = [some_rows(count, seed) for seed, count in enumerate(counts)]
    answers = served.infer(requests(*given))
    program = torchtrt_ws.load(files["rows"])
    for tensors, answer in zip(given, answers, strict=True):
        y, total = program(**tensors)
        assert isinstance(answer, dict) and list(answer) == ["output_0", "output_1"]
        np.testing.assert_allclose(answer["output_0"], y, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(answer["output_1"], total, rtol=1e-5, atol=1e-5)
    counters = served.counters
    assert (counters.requests, counters.rows, counters.calls) == (6, 19, 4), "1+3+4, 2, 8, 1"
    assert served.engines()[0]["runs"] == 4


def test_one_that_is_wrong_is_no_harm_to_others(served: ServedProgram) -> None:
    good, other = some_rows(1, 0), some_rows(2, 1)
    wrong: list[dict[str, Any]] = [
        {**good, "x": good["x"].astype(np.float64)},
        {**good, "x": good["x"][:, 1:]},
        {"x": good["x"]},
        {**good, "z": good["x"]},
        some_rows(MOST_ROWS + 1, 0),
    ]
    answers = served.infer(requests(good, *wrong, other))
    assert isinstance(answers[0], dict) and isinstance(answers[-1], dict)
    found = [str(answer) for answer in answers[1:-1]]
    assert all(isinstance(answer, ProgramError) for answer in answers[1:-1]), found
    assert "input 'x': found float64[1, 256]; expected float32<=[16, 256]" in found[0]
    assert "nothing for shift" in found[2] and "an input 'z'" in found[3] and "float32[17, 256]" in found[4]
    counters = served.counters
    assert (counters.requests, counters.refused, counters.calls) == (2, len(wrong), 1)


def test_rows_that_disagree_go_to_the_program_alone(served: ServedProgram) -> None:
    """It refuses them, or broadcasts: what no neighbour may be drawn into."""
    strange = {**some_rows(2, 0), "shift": np.zeros((3, 1), np.float32)}
    answers = served.infer(requests(some_rows(1, 1), strange, some_rows(1, 2)))
    assert isinstance(answers[0], dict) and isinstance(answers[2], dict)
    assert not isinstance(answers[1], dict)


def test_a_program_of_one_shape_joins_nothing(files: dict[str, Path]) -> None:
    served = ServedProgram(str(files["fixed"]), max_batch_size=8)
    assert served.limit is None
    assert [each["datatype"] for each in served.metadata["inputs"]] == ["BF16", "BF16"]
    (x, shift) = (np.zeros(each["shape"], "bfloat16") for each in served.metadata["inputs"])
    answers = served.infer(requests({"x": x, "shift": shift}, {"x": x + 1, "shift": shift}))
    assert [float(answer["output"].sum()) for answer in answers if isinstance(answer, dict)] == [0, 6]
    assert served.counters.calls == 2


def test_batches_are_no_larger_than_the_program_takes(files: dict[str, Path]) -> None:
    assert ServedProgram(str(files["rows"]), max_batch_size=1000).limit == MOST_ROWS
    assert ServedProgram(str(files["rows"])).limit is None, "1 joins none"


def test_shapes(files: dict[str, Path]) -> None:
    report = torchtrt_ws.pte.read(files["rows"])
    shapes = method_shapes(report, report.method())
    assert shapes.inputs == ((-1, FEATURES), (-1, 1))
    assert shapes.outputs == ((-1, FEATURES), (-1,))
    assert shapes.max_batch == MOST_ROWS


def test_budgets_change_and_go_back(served: ServedProgram) -> None:
    served.set_budget("0%")
    assert served.engines()[0]["budget_bytes"] == 0
    served.set_budget("100%")
    whole = served.engines()[0]["streamable_bytes"]
    assert served.engines()[0]["budget_bytes"] == whole > 0
    served.undo_budget()
    assert served.engines()[0]["budget_bytes"] == 0
    served.undo_budget()
    assert served.engines()[0]["budget_bytes"] == 0, "once"
    served.set_budget("100%")
    with pytest.raises(BudgetError):
        served.set_budget("101%")
    assert served.engines()[0]["budget_bytes"] == whole
    served.undo_budget()
    assert served.engines()[0]["budget_bytes"] == 0, "the one before: what failed changed nothing"


def test_health_is_looked_at_after_a_failure(served: ServedProgram) -> None:
    served.check()
    runs = served.engines()[0]["runs"]
    assert runs == 0, "a look costs no call while all is well"
    served.close()  # from now on every call fails
    answers = served.infer(requests(some_rows(1, 0), some_rows(1, 1)))
    assert all(isinstance(answer, EngineError) for answer in answers)
    with pytest.raises(EngineError):
        served.check()


def test_counts_of_replicas() -> None:
    one = {"requests": 1, "refused": 0, "rows": 4, "calls": 1, "queue_ns": 5, "compute_ns": 7, "last_ms": 100}
    assert summed([one, {**one, "last_ms": 90}]) == {
        "requests": 2, "refused": 0, "rows": 8, "calls": 2, "queue_ns": 10, "compute_ns": 14, "last_ms": 100,
    }  # fmt: skip
    assert summed([])["requests"] == 0


def test_two_contexts_answer_at_the_same_time_and_rightly(files: dict[str, Path]) -> None:
    served = ServedProgram(str(files["rows"]), max_batch_size=8, options={"contexts": 2})
    right = [torchtrt_ws.load(files["rows"])(**some_rows(2, seed))[0] for seed in range(8)]

    def ask(seed: int) -> list[Any]:
        return served.infer(requests(some_rows(2, seed), some_rows(2, (seed + 1) % 8)))

    with ThreadPoolExecutor(2) as threads:
        for seed, answers in enumerate(threads.map(ask, range(8))):
            np.testing.assert_allclose(answers[0]["output_0"], right[seed], rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(answers[1]["output_0"], right[(seed + 1) % 8], rtol=1e-5, atol=1e-5)
    assert served.counters.calls == 8

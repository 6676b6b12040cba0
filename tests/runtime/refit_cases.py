"""New weights for loaded TensorRT engines: more cases for test_standin.py, run as those of standin_cases.py are, with
its programs. y = scale * x + offset.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import ml_dtypes
import numpy as np
import standin_cases as cases  # its folder is no package
from standin_cases import STREAMABLE, calls, inputs, load, refused


def of(**values: float) -> dict[str, np.ndarray]:
    """Weights of one element, "query_offset" for "query.offset"."""
    return {name.replace("_", "."): np.array([value], np.float32) for name, value in values.items()}


def computes(program: Any, scale: float, offset: float) -> None:
    (y,) = program(inputs())
    np.testing.assert_array_equal(y, scale * inputs() + offset)


def fail(function: str, nth: int = 1, times: int = 1) -> None:
    """Calls of TensorRT's from the `nth` on."""
    cases.standin().standin_fail(function.encode(), cases.ctypes.c_int64(nth), cases.ctypes.c_int64(times), 0)


def case_refit(folder: Path) -> None:
    program = load(folder, "refit", weight_streaming_budget="50%")
    (engine,) = program.engines
    assert engine.refittable and engine.as_dict()["refittable"]
    assert engine.refittable_weights() == {"scale": ("float32", 1), "offset": ("float32", 1)}
    computes(program, 2, 1)
    program.refit(of(scale=5))
    computes(program, 5, 1)
    row = np.arange(6, dtype=">f4")[3:4]  # not this machine's order of bytes
    program.refit({"scale": row, "offset": memoryview(b"\0\0\x80\x40").cast("f")})
    computes(program, 3, 4)
    assert (engine.budget_bytes, engine.source) == (STREAMABLE // 2, "load-time")
    assert "torch" not in sys.modules


def case_refit_that_is_refused(folder: Path) -> None:
    program = load(folder, "refit")
    with refused("ProgramError", 'weight "scales"', 'engine \'tower\' takes 2: "scale", "offset"'):
        program.refit(of(scale=5, scales=5))
    with refused("ProgramError", 'weight "offset"', "found float16; expected float32"):
        program.refit({**of(scale=5), "offset": np.ones(1, np.float16)})
    with refused("ProgramError", 'weight "offset"', "found bfloat16; expected float32"):
        program.refit({**of(scale=5), "offset": np.ones(1, ml_dtypes.bfloat16)})
    with refused("ProgramError", 'weight "offset"', "found 3 elements; expected 1"):
        program.refit({**of(scale=5), "offset": np.ones((3,), np.float32)})
    with refused("ProgramError", "weights: found none"):
        program.refit({})
    with refused("ProgramError", "a mapping from name to tensor"):
        program.refit([np.ones(1)])
    with refused("ProgramError", "a name"):
        program.refit({5: np.ones(1, np.float32)})
    with refused("ProgramError", "weight 'scale'", "a tensor that numpy can read"):
        program.refit({"scale": [[1], [2, 3]]})
    with refused("ProgramError", 'engine "another"', "tower"):
        program.refit(of(scale=5), engine="another")
    computes(program, 2, 1)
    assert calls("setNamedWeights") == calls("refitCudaEngine") == 0
    plain = load(folder, "plain")
    assert not plain.engines[0].refittable
    with refused("EngineError", "engine 'tower'", "not built for other weights", "refit=True"):
        plain.refit(of(scale=5))
    with refused("EngineError", "not built for other weights"):
        plain.engines[0].refittable_weights()
    program.close()
    with refused("EngineError", "closed"):
        program.refit(of(scale=5))


def case_refit_that_fails_halfway(folder: Path) -> None:
    program = load(folder, "refit", weight_streaming_budget="50%")
    fail("refitCudaEngine")
    with refused("EngineError", "what was there before is not known of 2 of them", "Refit these again"):
        program.refit(of(scale=5, offset=6))
    with refused("EngineError", "weights that may not belong together"):
        program(inputs())
    program.refit(of(scale=5, offset=6))
    computes(program, 5, 6)
    fail("refitCudaEngine")
    with refused("EngineError", "the weights of before are back"):
        program.refit(of(scale=7, offset=8))
    computes(program, 5, 6)
    assert program.engines[0].budget_bytes == STREAMABLE // 2


def case_refit_of_shared_weights(folder: Path) -> None:
    program, other = load(folder, "refit"), load(folder, "refit")
    with refused("EngineError", "another program that shares its weights", "share_engines=False"):
        program.refit(of(scale=5))
    computes(other, 2, 1)
    other.close()
    program.refit(of(scale=5))
    later = load(folder, "refit")
    assert later.engines[0].shared_with == ()
    computes(later, 2, 1)
    computes(program, 5, 1)
    with load(folder, "refit", share_engines=False) as alone:
        alone.refit(of(scale=7))
        computes(alone, 7, 1)
        computes(later, 2, 1)


def case_refit_while_asleep(folder: Path) -> None:
    program = load(folder, "refit", weight_streaming_budget="50%")
    program.sleep()
    program.refit(of(scale=5))
    assert program.asleep
    program.wake()
    computes(program, 5, 1)
    assert program.engines[0].budget_bytes == STREAMABLE // 2


def case_refit_and_cuda_graphs(folder: Path) -> None:
    program = load(folder, "refit", cuda_graph=True)
    x, y = inputs(), np.empty((2, 4), np.float32)
    for scale in (2, 5, 3):
        program.refit(of(scale=scale))
        before = calls("cudaGraphLaunch")
        for _ in range(6):
            program(x, out=[y])
            np.testing.assert_array_equal(y, scale * x + 1)
        assert calls("cudaGraphLaunch") > before, "captured anew"


def beside(threads: int, call: Callable[[], object], change: Callable[[int], None], rounds: int) -> None:
    """Threads that call while this one changes the program, each time after a call of theirs; what one raises is raised
    here."""
    done, errors, count = threading.Event(), [], [0] * threads

    def work(index: int) -> None:
        try:
            while not done.is_set():
                call()
                count[index] += 1
        except BaseException as error:
            errors.append(error)
            done.set()

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    try:
        for step in range(rounds):
            change(step)
            before = sum(count)
            while sum(count) == before and not done.is_set():
                pass
    finally:
        done.set()
        for worker in workers:
            worker.join()
    assert not errors, errors


def case_refit_beside_threads(folder: Path) -> None:
    """Three contexts, and four threads, that see the weights of before or those of after."""
    program = load(folder, "refit", contexts=3, weight_streaming_budget="50%")

    def call() -> None:
        (y,) = program(inputs())
        wanted = [2 * inputs() + 1, 5 * inputs() + 6]
        assert any(np.array_equal(y, each) for each in wanted), y

    beside(4, call, lambda step: program.refit([of(scale=5, offset=6), of(scale=2, offset=1)][step % 2]), 40)
    assert program.engines[0].budget_bytes == STREAMABLE // 2


def case_refit_of_two_engines(folder: Path) -> None:
    """A call runs both engines, one behind the other: both have the weights of before, or both the new ones."""
    program = load(folder, "refit_pair")

    def check_pair(scale: float | None = None, offset: float = 1) -> None:
        found = [np.array(y) for y in program(inputs())]
        offsets = [y[0, 0] for y in found]
        assert offsets[0] == offsets[1], offsets
        if scale is not None:
            np.testing.assert_array_equal(found[0], scale * inputs() + offset)

    check_pair(2)
    with refused("ProgramError", "engines 'query' and 'document' take it", "engine="):
        program.refit(of(scale=5))
    program.refit(of(scale=5), engine="query")
    check_pair(5)
    np.testing.assert_array_equal(program(inputs())[1], 3 * inputs() + 1)
    beside(2, check_pair, lambda step: program.refit(of(query_offset=step, document_offset=step)), 30)
    fail("refitCudaEngine", 2)
    with refused("EngineError", "the weights of before are back"):
        program.refit(of(query_offset=8, document_offset=9))
    check_pair(5, 29)
    fail("setNamedWeights", 2)
    with refused("EngineError", "offset"):
        program.refit(of(query_offset=8, document_offset=9))
    check_pair(5, 29)


def case_refit_of_equal_plans(folder: Path) -> None:
    """Two methods on one copy of the weights: who names one means both."""
    program = load(folder, "refit_twins")
    for scale, engine in ((5, None), (7, "document")):
        program.refit(of(scale=scale), engine=engine)
        for method in cases.FACTORS:
            np.testing.assert_array_equal(program.run(method, inputs())[0], scale * inputs() + 1)
    assert calls("refitCudaEngine") == 2


CASES: dict[str, Callable[[Path], None]] = {
    name.removeprefix("case_"): case for name, case in list(globals().items()) if name.startswith("case_")
}

if __name__ == "__main__":
    cases.CASES.update(CASES)
    cases.main(sys.argv[1], Path(sys.argv[2]))

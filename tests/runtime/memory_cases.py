"""torchtrt_ws.memory, sleep and wake over TensorRT engines: more cases for test_standin.py, run as those of
standin_cases.py are, with its programs.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import standin_cases as cases  # its folder is no package
from standin_cases import MIB, RESIDENT, STREAMABLE, budgets, check, check_towers, free, live, load

import torchtrt_ws


def leave_free(size: int) -> None:
    """Somebody else takes the rest of device 0."""
    cases.give_back()
    cases.take(free(0) - size)


def case_make_room_by_priority(folder: Path) -> None:
    from torchtrt_ws import memory

    first, second = load(folder, "pair", weight_streaming_budget="4MiB"), load(folder, "baked")
    check_towers(first)
    check(second)
    before = [budgets(first), budgets(second)]
    first.priority = 5
    assert [engine.priority for engine in first.engines] == [5, 5]
    assert second.priority == 0
    leave_free(MIB)
    had = free(0)
    assert memory.make_room(had) == 0, "it is free"
    gave = memory.make_room(had + MIB // 2)
    assert gave >= MIB // 2
    assert free(0) == had + gave
    assert budgets(first) == before[0]
    assert budgets(second) == {"tower": (STREAMABLE // 8, "make-room")}
    assert second.engines[0].wanted_bytes == STREAMABLE // 4
    gave = memory.make_room(had + 3 * MIB, device="cuda:0")
    assert free(0) >= had + 3 * MIB
    assert budgets(second) == {"tower": (0, "make-room")}
    assert sum(size for size, _ in budgets(first).values()) == 4 * MIB - 2 * MIB, budgets(first)
    check_towers(first)
    check(second)
    with cases.refused("CapacityError", "at most", "put engines to sleep"):
        memory.make_room("6GiB")
    assert free(0) >= had + 3 * MIB
    assert memory.give_back() > 0
    assert [budgets(first), budgets(second)] == before
    assert free(0) == had
    check_towers(first)
    check(second)


def case_make_room_follows_the_profile(folder: Path) -> None:
    """With a quarter and with all of the weights it is faster, with what is between it is not."""
    from torchtrt_ws import memory

    times = cases.profile(folder, "plain", {"tower": (9.0, 5.0, 5.0, 5.0, 1.0)})
    program = load(folder, "plain", weight_streaming_budget="100%", profile=times)
    leave_free(MIB)
    memory.make_room(free(0) + 1)
    assert budgets(program) == {"tower": (STREAMABLE // 4, "make-room")}
    memory.give_back()
    assert budgets(program) == {"tower": (STREAMABLE, "load-time")}
    check(program)


def case_sleep_and_wake(folder: Path) -> None:
    for keywords in ({"weight_streaming_budget": "100%"}, {"weight_streaming_budget": "50%"}, {}):
        program = load(folder, "plain", contexts=2, **keywords)
        other = load(folder, "towers")
        check(program)
        check_towers(other)
        before, held = budgets(program), live("device_total")
        others = sum(engine.device_bytes for engine in other.engines)
        program.sleep()
        assert program.asleep
        (engine,) = program.engines
        assert (engine.budget_bytes, engine.wanted_bytes) == (0, before["tower"][0])
        assert engine.device_bytes == RESIDENT, "weights that cannot stream"
        assert live("device_total") <= others + RESIDENT, "context, scratch or staging is still there"
        with cases.refused("EngineError", "a run while it sleeps", "wake()"):
            check(program)
        with cases.refused("EngineError", "a change of budget while it sleeps", "wake()"):
            program.set_weight_streaming_budget("25%")
        check_towers(other)
        program.wake()
        assert not program.asleep
        assert budgets(program) == before
        check(program)
        assert abs(live("device_total") - held) <= 4096
        with torchtrt_ws.weight_streaming(program) as ctx:
            ctx.device_budget = "25%"
            program.sleep()
        program.wake()
        assert budgets(program) == before, "what it wakes to is what was there before the block"
        check(program)
        del program, other, engine, ctx
    assert live("device_total") == 0


def case_shared_weights_stay_until_all_sleep(folder: Path) -> None:
    first = load(folder, "plain", weight_streaming_budget="50%")
    second = load(folder, "plain")
    first.sleep()
    assert live("weights") == RESIDENT + STREAMABLE // 2
    check(second)
    second.sleep()
    assert live("weights") == RESIDENT
    assert live("context") == live("scratch") == 0
    third = load(folder, "plain", weight_streaming_budget="25%")
    check(third)
    del third
    assert live("weights") == RESIDENT, "who sleeps does so on its weights"
    first.wake()
    assert budgets(first) == {"tower": (STREAMABLE // 4, "load-time")}
    check(first)
    del first
    assert live("weights") == RESIDENT
    second.wake()
    check(second)


def case_headroom(folder: Path) -> None:
    from torchtrt_ws import memory

    assert memory.headroom() == 0
    program = load(folder, "pair", weight_streaming_budget="8MiB")
    program.priority = -1
    check_towers(program)
    leave_free(MIB)
    assert memory.headroom("2MiB") == memory.headroom() == 2 * MIB
    assert free(0) >= 2 * MIB
    assert {source for _, source in budgets(program).values()} == {"headroom", "load-time"}
    other = load(folder, "baked")  # it may take the headroom for a moment; who matters less gives it back
    assert free(0) >= 2 * MIB
    assert budgets(other) == {"tower": (MIB, "baked")}
    other.engines[0].set_budget("50%")
    assert free(0) >= 2 * MIB
    assert budgets(other) == {"tower": (2 * MIB, "load-time")}
    other.sleep()
    other.wake()
    assert free(0) >= 2 * MIB
    cases.give_back()
    check(other)
    check_towers(program)
    assert memory.follow() == 0, "more than enough is free: the first look that sees it"
    while memory.follow() < 0:
        pass
    assert {source for _, source in budgets(program).values()} == {"load-time"}
    leave_free(MIB)
    with memory.following(seconds=0.001):
        while free(0) < 2 * MIB:  # a test that hangs has failed
            check(other)
    check_towers(program)
    memory.headroom(0)


def case_memory_in_threads(folder: Path) -> None:
    """Runs, with make_room, give_back, sleep and wake beside them: every call is right, or says that it sleeps."""
    from torchtrt_ws import memory

    runner, sleeper = load(folder, "pair", weight_streaming_budget="4MiB"), load(folder, "baked")
    before = budgets(runner)
    check(sleeper)
    leave_free(MIB)
    stop, asleep, wrong = threading.Event(), [], []

    def runs() -> None:
        while not stop.is_set():
            check_towers(runner)

    def sleeps() -> None:
        while not stop.is_set():
            try:
                check(sleeper)
            except torchtrt_ws.EngineError as error:
                asleep.append(str(error))

    def guarded(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:
            wrong.append(error)
            stop.set()

    threads = [threading.Thread(target=guarded, args=(each,)) for each in (runs, runs, sleeps)]
    for thread in threads:
        thread.start()
    for _ in range(60):
        memory.make_room(2 * MIB)
        sleeper.sleep()
        memory.give_back()
        sleeper.wake()
    while not asleep and not stop.is_set():
        sleeper.sleep()
        sleeper.wake()
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong, wrong
    assert all("while it sleeps" in each for each in asleep), set(asleep)
    memory.give_back()
    assert budgets(runner) == before
    check(sleeper)


def faulty(function: str = "", nth: int = 0) -> None:
    """From now on call `nth` of a function fails, once; none does without."""
    controls = cases.standin()
    controls.standin_clear_faults()
    if function:
        controls.standin_fail.argtypes = [ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int]
        controls.standin_fail(function.encode(), nth, 1, 0)


def case_every_call_that_fails(folder: Path) -> None:
    """A call of TensorRT or CUDA fails, each in turn: a clear error or none, nothing lost, the others run."""
    from torchtrt_ws import WeightStreamingError, memory

    sleeper, pair, other = (
        load(folder, "plain", weight_streaming_budget="100%"),
        load(folder, "pair", weight_streaming_budget="4MiB"),
        load(folder, "baked"),
    )
    other.priority = 9

    def all_run() -> None:
        check(sleeper)
        check_towers(pair)
        check(other)

    all_run()
    leave_free(2 * MIB)
    before, had = [budgets(each) for each in (sleeper, pair, other)], free(0)
    operations: list[tuple[str, Callable[[], object]]] = [
        ("sleep", sleeper.sleep),
        ("wake", sleeper.wake),
        ("make_room", lambda: memory.make_room(had + 5 * MIB)),
        ("give_back", memory.give_back),
    ]
    controls = cases.standin()
    controls.standin_function_name.restype = ctypes.c_char_p
    controls.standin_can_fail.argtypes = [ctypes.c_char_p]
    injected = failed = 0
    for what, operation in operations:
        names = [controls.standin_function_name(i).decode() for i in range(controls.standin_function_count())]
        counts = {name: cases.calls(name) for name in names if controls.standin_can_fail(name.encode())}
        ready(what, sleeper, had)
        started = {name: cases.calls(name) for name in counts}
        operation()
        made = {name: cases.calls(name) - started[name] for name in counts}
        put_right(sleeper)
        for function, count in made.items():
            for nth in range(1, min(count, 12) + 1):
                where = f"{what}: {function} fails at call {nth}"
                ready(what, sleeper, had)
                faulty(function, nth)
                injected += 1
                try:
                    operation()
                except WeightStreamingError as error:
                    failed += 1
                    assert error.subject, where
                    assert error.found, where
                    assert error.next_step, where
                    faulty()
                    asleep = {"sleep": False, "wake": True}.get(what)
                    assert asleep is None or sleeper.asleep == asleep, where
                    operation()  # the next try
                finally:
                    faulty()
                check(other)
                put_right(sleeper)
                all_run()
                assert [budgets(each) for each in (sleeper, pair, other)] == before, where
                assert abs(free(0) - had) <= 4096, where
    assert injected > 40, injected
    assert failed > 10, failed


def ready(what: str, sleeper: Any, had: int) -> None:
    """The state from which an operation begins."""
    from torchtrt_ws import memory

    if what == "wake":
        sleeper.sleep()
    if what == "give_back":
        memory.make_room(had + 5 * MIB)


def put_right(sleeper: Any) -> None:
    from torchtrt_ws import memory

    sleeper.wake()
    memory.give_back()


CASES: dict[str, Callable[[Path], None]] = {
    name.removeprefix("case_"): case for name, case in list(globals().items()) if name.startswith("case_")
}

if __name__ == "__main__":
    cases.CASES.update(CASES)
    cases.main(sys.argv[1], Path(sys.argv[2]))

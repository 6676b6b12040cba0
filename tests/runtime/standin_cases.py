"""What test_standin.py runs, each case in a process of its own: the Python package with TensorRT's and CUDA's stand-ins
in the place of the real libraries.

    python standin_cases.py write FOLDER     # the programs
    python standin_cases.py CASE FOLDER      # in the environment that test_standin.py makes
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parent.parent
STANDIN = TESTS / "standin"
KIB, MIB = 2**10, 2**20
STREAMABLE, RESIDENT = 4 * MIB, 64 * KIB  # weights of each plan
SCRATCH, CONTEXT = 512 * KIB, 256 * KIB
X, Y = "x:float32:1..8x4", "y:float32:1..8x4"
FACTORS = {"query": 2.0, "document": 3.0}
# Weights by name, of the programs "refit" and "refit_pair": scale and offset of each output.
REFIT = {
    "y": {"scale": 2.0, "offset": 1.0},
    "query": {"scale": 2.0, "query.offset": 1.0},
    "document": {"scale": 3.0, "document.offset": 1.0},
}
# The last TensorRT-RTX that fits the headers of each TensorRT (tests/standin/CMakeLists.txt).
RTX_VERSIONS = {"10": (1, 4, 0, 76), "11": (1, 6, 1, 120)}


def write(folder: Path, library: str) -> None:
    """All programs. `library` is the stand-in of TensorRT, whose name has its major version."""
    sys.path[:0] = [str(STANDIN), str(TESTS / "pte")]
    import make_pte
    import plan

    import torchtrt_ws

    sys.path.remove(str(STANDIN))  # its folder tensorrt would be taken for the package, where there is none

    def make(**fields: Any) -> bytes:
        sizes = {"streamable": STREAMABLE, "resident": RESIDENT, "scratch": SCRATCH, "context": CONTEXT}
        return plan.write(plan.Plan(weights=bytes(STREAMABLE), **sizes, **fields))

    def save(name: str, payload: bytes, **keywords: Any) -> None:
        facts = {"inputs": X, "outputs": Y, "name": "tower", "streamable_bytes": STREAMABLE}
        torchtrt_ws.save_plan(payload, folder / f"{name}.pte", **{**facts, **keywords})

    def tower(factor: float, output: str = "y") -> bytes:
        return make(outputs=(plan.Output(output, {"x": factor}, 1.0),))

    save("plain", make())
    save("rtx", make(rtx=True, version=RTX_VERSIONS[library.rpartition(".")[2]]))
    save("baked", make(), weight_streaming_budget="25%")
    save("device", make(), device="cuda:0")
    save("device_io", make(), device="cuda:0", device_io=True)
    static = {"inputs": (plan.Input("x", (2, 4)),), "outputs": (plan.Output("y", {"x": 2.0}, 1.0),)}
    save("static_io", make(**static), device="cuda:0", device_io=True, inputs="x:float32:2x4", outputs="y:float32:2x4")
    carried = {
        "inputs": (plan.Input("x", (2, 4), dtype="float8_e4m3fn"),),
        "outputs": (plan.Output("y", {"x": 1.0}, 0.0, dtype="float8_e4m3fn"),),
    }
    eight = {"inputs": "x:float8_e4m3fn:2x4", "outputs": "y:float8_e4m3fn:2x4"}
    save("float8", make(**carried), **eight)
    save("float8_io", make(**carried), device="cuda:0", device_io=True, **eight)
    small = plan.Input("x", (1, 4), (2, 4), more=[((4, 4), (8, 4), (8, 4))])  # and a profile of 4 to 8 rows
    save("profiles", make(inputs=(small,)))
    found = plan.Output("y", {"x": 1.0}, dtype="int64", kind="nonzero")
    for name, most in (("nonzero", 32), ("nonzero_small", 6)):
        save(name, make(outputs=(found,)), outputs=f"y:int64:2x0..{most}")
    rows = plan.Input("k", (2,), dtype="int64", flags=("host",), values=[((1, 4), (4, 4), (8, 4))])
    repeated = plan.Output("y", {"x": 2.0}, 1.0, shape="k")
    for name, placed in (("shapes", {}), ("shapes_device", {"device": "cuda:0"})):
        payload = make(inputs=(plan.Input("x", (1, 4)), rows), outputs=(repeated,))
        save(name, payload, inputs=["x:float32:1x4", "k:int64:2"], outputs="y:float32:0..8x4", **placed)
    summed = {
        "inputs": (plan.Input("x", (2, 4)), plan.Input("sum", (2, 4))),
        "outputs": (
            plan.Output("y", {"x": 2.0, "sum": 2.0}, 1.0),
            plan.Output("sum_after", {"x": 1.0, "sum": 1.0}),
        ),
    }
    kept = {
        "inputs": ["x:float32:2x4", "sum:float32:2x4"],
        "outputs": ["y:float32:2x4", "sum_after:float32:2x4"],
        "state": {"sum": "sum_after"},
    }
    save("state", make(**summed), **kept)
    save("version", make(version=(10, 3, 0, 26)))
    save("compute", make(compute=75))
    save("platform", make(platform="windows_x86_64"))
    save("damaged", plan.damaged(plan.Plan(weights=bytes(STREAMABLE))))
    for program, baked in (("towers", "2MiB"), ("pair", None)):
        torchtrt_ws.save_plan(
            {name: tower(factor, name) for name, factor in FACTORS.items()},
            folder / f"{program}.pte",
            inputs=dict.fromkeys(FACTORS, X),
            outputs={name: f"{name}:float32:1..8x4" for name in FACTORS},
            streamable_bytes=dict.fromkeys(FACTORS, STREAMABLE),
            weight_streaming_budget=baked,
        )
    write_variants(folder, make, RTX_VERSIONS[library.rpartition(".")[2]])
    twins = dict.fromkeys(FACTORS, make())
    torchtrt_ws.save_plan(
        twins,
        folder / "twins.pte",
        inputs=dict.fromkeys(twins, X),
        outputs=dict.fromkeys(twins, Y),
        streamable_bytes=dict.fromkeys(twins, STREAMABLE),
        methods={name: [name] for name in twins},
    )
    refitted = {name: [plan.Weight(name, value) for name, value in of.items()] for name, of in REFIT.items()}

    def refittable(name: str, output: str = "y") -> bytes:
        scale, offset = REFIT[name]
        outputs = (plan.Output(output, {"x": 1.0}, scale=scale, offset=offset),)
        return make(outputs=outputs, refittable=2, named=refitted[name])

    save("refit", refittable("y"))
    torchtrt_ws.save_plan(
        {name: refittable(name, name) for name in FACTORS},
        folder / "refit_pair.pte",
        inputs=dict.fromkeys(FACTORS, X),
        outputs={name: f"{name}:float32:1..8x4" for name in FACTORS},
        streamable_bytes=dict.fromkeys(FACTORS, STREAMABLE),
    )
    twins = dict.fromkeys(FACTORS, refittable("y"))
    torchtrt_ws.save_plan(
        twins,
        folder / "refit_twins.pte",
        inputs=dict.fromkeys(twins, X),
        outputs=dict.fromkeys(twins, Y),
        streamable_bytes=dict.fromkeys(twins, STREAMABLE),
        methods={name: [name] for name in twins},
    )
    newer = (folder / "plain.pte").read_bytes()
    assert newer.count(b'"schema":1') == 1
    (folder / "newer.pte").write_bytes(newer.replace(b'"schema":1', b'"schema":2'))

    # As Torch-TensorRT writes them: bindings by position, no key of ours.
    theirs = [
        make_pte.their_blob(
            make(inputs=(plan.Input("input_0", (2, 3)),), outputs=(plan.Output("output_0", {"input_0": factor}, 1.0),))
        )
        for factor in (2.0, 5.0)
    ]
    stages = [make_pte.lower(b"%d" % position, blob) for position, blob in enumerate(theirs)]
    make_pte.save(folder / "theirs.pte", {"forward": make_pte.Chain(*stages)})
    graphs = make_pte.lower(b"graphs", theirs[0], ("use_cuda_graphs", b"true"))
    make_pte.save(folder / "their_graphs.pte", {"forward": make_pte.Chain(graphs)})
    for name, data in (("named", "named"), ("apart", "weights")):
        (folder / name).mkdir()
        make_pte.save_apart(folder / name, name, make_pte.Scaled(make_pte.lower(name.encode(), theirs[0])), data)
    planned = make_pte.lower(b"planned", theirs[0], ("target_device", b"cuda:0"))
    make_pte.save(folder / "planned.pte", {"forward": make_pte.Chain(planned)})


def write_variants(folder: Path, make: Callable[..., bytes], rtx_version: tuple[int, ...]) -> None:
    """Programs with several plans, for variant_cases.py: what a plan computes is told by the weight that it takes."""
    import plan

    import torchtrt_ws

    def save(name: str, scale: float, capability: str | None, **fields: Any) -> Path:
        weight = f"scale{scale:.0f}"
        payload = make(
            outputs=(plan.Output("y", {"x": 1.0}, scale=weight, offset="offset"),),
            extra=("refittable 1", f"weight {weight} float32 1", "weight offset float32 1"),
            **fields,
        )
        path = folder / "parts" / f"{name}.pte"
        path.parent.mkdir(exist_ok=True)
        torchtrt_ws.save_plan(
            payload,
            path,
            inputs=X,
            outputs=Y,
            name="tower",
            streamable_bytes=STREAMABLE,
            weights={weight: np.array([scale], np.float32), "offset": np.ones(1, np.float32)},
            compute_capabilities=None if capability is None else [capability],
        )
        return path

    ada, hopper = save("ada", 3.0, "8.9", compute=89), save("hopper", 5.0, "9.0", compute=90)
    every = save("every", 7.0, None, compute=None)
    unnamed = save("unnamed_ada", 3.0, None, compute=89), save("unnamed_hopper", 5.0, None, compute=90)
    rtx = save("rtx", 7.0, "9.0", compute=90, rtx=True, version=rtx_version)
    programs = {
        "gpus": [ada, hopper, every],
        "named": [ada, hopper],
        "unnamed": unnamed,
        "runtimes": [hopper, rtx],
        "none": [ada, save("turing", 5.0, None, compute=75)],
    }
    for name, parts in programs.items():
        torchtrt_ws.combine(parts, folder / f"{name}.pte")


def inputs(rows: int = 2) -> np.ndarray:
    return np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)


def load(folder: Path, name: str, **keywords: Any) -> Any:
    import torchtrt_ws

    return torchtrt_ws.load(folder / f"{name}.pte", **keywords)


def standin() -> ctypes.CDLL:
    """The stand-in's controls, of the copy that the adapter uses."""
    names = [line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "libcudart" in line]
    assert len(set(names)) == 1, f"the adapter is loaded with {set(names)}"
    library = ctypes.CDLL(names[0])
    for function in ("standin_live_bytes", "standin_free_bytes", "standin_calls", "standin_misuses"):
        getattr(library, function).restype = ctypes.c_int64
    library.standin_misuse.restype = ctypes.c_char_p
    library.standin_misuse.argtypes = [ctypes.c_int64]
    return library


def live(kind: str) -> int:
    return standin().standin_live_bytes(kind.encode())


def free(device: int) -> int:
    return standin().standin_free_bytes(device)


def calls(function: str) -> int:
    return standin().standin_calls(function.encode())


@contextmanager
def refused(kind: str, *words: str) -> Any:
    """An error of exactly this class, which says `words` and what to do."""
    import torchtrt_ws

    try:
        yield
    except torchtrt_ws.WeightStreamingError as error:
        assert type(error).__name__ == kind, f"{type(error).__name__}: {error}"
        for word in words:
            assert word in str(error), f"{word!r} is not in: {error}"
    else:
        raise AssertionError(f"no {kind}")


def check(program: Any, rows: int = 2) -> None:
    (y,) = program(inputs(rows))
    np.testing.assert_array_equal(y, 2 * inputs(rows) + 1)


def at_budget(folder: Path, budget: Any, wanted: int, source: str = "load-time", name: str = "plain") -> None:
    program = load(folder, name, **({} if budget is None else {"weight_streaming_budget": budget}))
    for rows in (1, 8, 2):
        check(program, rows)
    (engine,) = program.engines
    assert (engine.budget_bytes, engine.source) == (wanted, source), engine
    assert (engine.kind, engine.streamable_bytes, engine.runs) == ("tensorrt", STREAMABLE, 3), engine
    streaming = wanted < STREAMABLE
    assert engine.scratch_bytes == SCRATCH or (engine.scratch_bytes == 0 and not streaming), engine
    # What the engine says, against what the stand-ins hold: TensorRT's memory, and of CUDA's the staging of tensors.
    assert live("scratch") == (SCRATCH if streaming else 0)
    assert live("weights") == RESIDENT + wanted
    held = sum(live(kind) for kind in ("weights", "scratch", "context"))
    assert held <= engine.device_bytes <= held + live("device"), (engine, held)


def case_state(folder: Path) -> None:
    """y = 2 * (the sum of all x) + 1, whatever else happens between the calls."""
    program = load(folder, "state", weight_streaming_budget="50%")
    assert [spec.name for spec in (*program.inputs, *program.outputs)] == ["x", "y"]
    total = np.zeros((2, 4), np.float32)
    for budget in ("50%", 0, "100%"):
        program.set_weight_streaming_budget(budget)
        for value in (1, 2):
            total += inputs() + value
            np.testing.assert_array_equal(program(inputs() + value)[0], 2 * total + 1)
    other = load(folder, "state")  # on the same weights
    np.testing.assert_array_equal(other(inputs())[0], 2 * inputs() + 1)
    program.reset_state()
    np.testing.assert_array_equal(program(inputs())[0], 2 * inputs() + 1)
    program.sleep()
    program.wake()
    np.testing.assert_array_equal(program(inputs())[0], 4 * inputs() + 1)
    with refused("ProgramError", "2 contexts of an engine that keeps state"):
        load(folder, "state", contexts=2)


def case_baked(folder: Path) -> None:
    at_budget(folder, None, STREAMABLE // 4, "baked", "baked")


def case_automatic(folder: Path) -> None:
    at_budget(folder, None, STREAMABLE, "automatic")


def case_auto_beats_baked(folder: Path) -> None:
    at_budget(folder, "auto", STREAMABLE, name="baked")


def case_total(folder: Path) -> None:
    at_budget(folder, "1MiB", MIB)


def case_nothing_resident(folder: Path) -> None:
    at_budget(folder, 0, 0)


def case_percent(folder: Path) -> None:
    at_budget(folder, "50%", STREAMABLE // 2)


def case_rtx(folder: Path) -> None:
    at_budget(folder, "50%", STREAMABLE // 2, name="rtx")


def case_percent_in_the_hole(folder: Path) -> None:
    at_budget(folder, "95%", STREAMABLE)  # 3.8 MiB and the scratch would take more than all


def case_reserve(folder: Path) -> None:
    """A device of 5 MiB, of which 3 MiB are for others."""
    program = load(folder, "plain", weight_streaming_budget="free-3MiB")
    (engine,) = program.engines
    assert 0 < engine.budget_bytes < 2 * MIB, engine
    assert 3 * MIB <= free(0) < 3 * MIB + 4 * KIB
    check(program)


def case_per_engine(folder: Path) -> None:
    program = load(folder, "towers", weight_streaming_budget_per_engine={"query": MIB, "document": 2 * MIB})
    check_towers(program)
    assert {e.name: (e.budget_bytes, e.source) for e in program.engines} == {
        "query": (MIB, "load-time (engine)"),
        "document": (2 * MIB, "load-time (engine)"),
    }


def check_towers(program: Any) -> None:
    for name, y in zip(FACTORS, program(inputs()), strict=True):
        np.testing.assert_array_equal(y, FACTORS[name] * inputs() + 1)


def case_towers_share_a_total(folder: Path) -> None:
    for budget, each in ((None, MIB), ("3MiB", 3 * MIB // 2), ("25%", MIB)):
        program = load(folder, "towers", **({} if budget is None else {"weight_streaming_budget": budget}))
        check_towers(program)
        assert [engine.budget_bytes for engine in program.engines] == [each, each]
        del program
    assert live("device_total") == 0, "unloaded programs hold memory"


def budgets(program: Any) -> dict[str, tuple[int, str]]:
    return {engine.name: (engine.budget_bytes, engine.source) for engine in program.engines}


def shared(program: Any, at_least: int, left: int) -> None:
    """Two equal engines share what there is: they keep `at_least` bytes of weights, and `left` bytes are free."""
    assert free(0) >= left, f"{free(0)} of {left} bytes are free"
    check_towers(program)
    # What stages outputs is known and taken in the first run: of a TensorRT engine, whose shapes a context tells.
    assert free(0) >= left - 4 * KIB
    each = [engine.budget_bytes for engine in program.engines]
    assert sum(each) >= at_least and max(each) < STREAMABLE, program.engines
    assert max(each) - min(each) <= STREAMABLE // 8, "equal engines, unequal parts"


def case_automatic_for_two(folder: Path) -> None:
    """A device with 6 MiB beside the margin of 64, where two engines of 4 MiB and their scratch do not fit."""
    program = load(folder, "pair")
    shared(program, 7 * MIB // 2, left=64 * MIB)
    assert {engine.source for engine in program.engines} == {"automatic"}


def case_reserve_for_two(folder: Path) -> None:
    """The same device, of which 65 MiB are for others."""
    program = load(folder, "pair", weight_streaming_budget="free-65MiB")
    shared(program, 5 * MIB // 2, left=65 * MIB)


def case_margin(folder: Path) -> None:
    """A device of 6 MiB: less than the margin that is left free unless another is given."""
    kept = {}
    for margin, left in ((None, 0), ("1MiB", MIB), (512 * KIB, 512 * KIB)):
        program = load(folder, "pair", weight_streaming_margin=margin)
        assert free(0) >= left
        check_towers(program)
        kept[margin] = sum(engine.budget_bytes for engine in program.engines)
        program.set_weight_streaming_budget(0)
        program.set_weight_streaming_budget("auto")
        assert free(0) >= left, "a change of all forgot the margin"
        program.engines[0].set_budget("auto")
        assert free(0) >= left, "a change of one forgot the margin"
        del program
    assert kept[None] == 0 < kept["1MiB"] < kept[512 * KIB], kept
    program = load(folder, "pair", weight_streaming_budget="3MiB", weight_streaming_margin="1GiB")
    assert set(budgets(program).values()) == {(3 * MIB // 2, "load-time")}, "a margin is no budget"
    with refused("BudgetError", "weight_streaming_margin", "5%"):
        load(folder, "pair", weight_streaming_margin="5%")


def profile(folder: Path, name: str, times: dict[str, tuple[float, ...]]) -> Any:
    """A profile of made-up milliseconds, at 0 to all of the weights in equal steps."""
    from torchtrt_ws import pte
    from torchtrt_ws.budget.profile import EngineProfile, Point, Profile

    def point(step: int, steps: int, milliseconds: float) -> Point:
        budget = STREAMABLE * step // steps
        return Point(budget, budget + RESIDENT + CONTEXT + (SCRATCH if step < steps else 0), milliseconds)

    return Profile(
        tuple(
            EngineProfile(
                engine.name,
                str(engine.sha256),
                STREAMABLE,
                SCRATCH,
                tuple(point(step, len(each) - 1, ms) for step, ms in enumerate(each)),
            )
            for engine, each in ((engine, times[engine.name]) for engine in pte.read(folder / f"{name}.pte").engines)
        )
    )


def case_split_by_latency(folder: Path) -> None:
    """ "document" is faster with its first quarter and not with more; "query" gains from every one."""
    measured = profile(folder, "towers", {"query": (40, 30, 20, 10, 2), "document": (20, 9, 9, 9, 8)})
    keywords: Any = {"profile": measured, "weight_streaming_budget": "5MiB"}
    program = load(folder, "towers", split="latency", **keywords)
    check_towers(program)
    assert [budgets(program)[name][0] for name in FACTORS] == [STREAMABLE, MIB]
    program.set_weight_streaming_budget("4MiB", split="latency")
    assert [budgets(program)[name][0] for name in FACTORS] == [3 * MIB, MIB], "22 ms with all of it for the one"
    program.set_weight_streaming_budget("90%")
    assert [budgets(program)[name][0] for name in FACTORS] == [STREAMABLE] * 2, "the hole, and all is worth it"
    check_towers(program)
    del program  # the next load would share its weights, and its budgets
    program = load(folder, "towers", **keywords)
    assert [budgets(program)[name][0] for name in FACTORS] == [2 * MIB, MIB], "of 2.5 MiB each what buys something"


def case_automatic_by_latency(folder: Path) -> None:
    """The device of automatic_for_two: the plan's bytes go to the one that gains, in the memory of the plan."""
    measured = profile(folder, "pair", {"query": (40, 30, 20, 10, 2), "document": (10, 10, 10, 10, 9)})
    for budget, left in ((None, 64 * MIB), ("free-65MiB", 65 * MIB)):
        plain = load(folder, "pair", weight_streaming_budget=budget, split="proportional")
        total = sum(bytes for bytes, _ in budgets(plain).values())
        del plain
        program = load(folder, "pair", weight_streaming_budget=budget, split="latency", profile=measured)
        spent = {name: bytes for name, (bytes, _) in budgets(program).items()}
        assert spent == {"query": min(total // MIB * MIB, STREAMABLE), "document": 0}, (total, spent)
        assert free(0) >= left
        check_towers(program)
        del program


def case_latency_of_shared_weights(folder: Path) -> None:
    """Two engines on one copy of the weights are one: its bytes count once, and save the time of both."""
    measured = profile(folder, "twins", {"query": (40, 30, 20, 10, 2), "document": (10, 9, 8, 7, 6)})
    program = load(folder, "twins", weight_streaming_budget="3MiB", split="latency", profile=measured)
    assert {bytes for bytes, _ in budgets(program).values()} == {3 * MIB}
    for name in program.method_names:
        np.testing.assert_array_equal(program.run(name, inputs())[0], 2 * inputs() + 1)
    assert live("weights") == RESIDENT + 3 * MIB


def case_set_budgets_of_a_program(folder: Path) -> None:
    """A device of 6 MiB."""
    program = load(folder, "pair", weight_streaming_budget="1MiB")
    each = "weight_streaming_budget_per_engine"
    for change, wanted in (
        ({"weight_streaming_budget": "3MiB"}, [3 * MIB // 2] * 2),
        ({"weight_streaming_budget": "25%"}, [MIB] * 2),
        ({each: {"query": 3 * MIB, "document": 0}}, [3 * MIB, 0]),
        ({each: {"query": 0, "document": 3 * MIB}}, [0, 3 * MIB]),  # the one must shrink before the other grows
        ({each: {"query": 17}}, [17, 3 * MIB]),
        ({each: MIB}, [MIB] * 2),
    ):
        program.set_weight_streaming_budget(**change)
        assert [engine.budget_bytes for engine in program.engines] == wanted, change
        check_towers(program)
    before, held = budgets(program), free(0)
    too_much: Any
    for too_much in (
        {"weight_streaming_budget": "7MiB"},
        {each: "3MiB"},
        {each: {"query": 2 * MIB, "document": "100%"}},
    ):
        with refused("CapacityError", "The largest budget that fits is"):
            program.set_weight_streaming_budget(**too_much)
        assert (budgets(program), free(0)) == (before, held), too_much
        check_towers(program)


def case_a_block(folder: Path) -> None:
    """The device of automatic_for_two: what was automatic comes back as it was, and can be moved again."""
    import torchtrt_ws

    program = load(folder, "pair")
    check_towers(program)
    before, held = budgets(program), free(0)
    total = 2 * STREAMABLE
    for budget in (0, "50%", "auto", {"query": "100%"}, {"document": 17}):
        with torchtrt_ws.weight_streaming(program) as ctx:
            ctx.device_budget = budget
            check_towers(program)
            assert ctx.total_device_budget == total
            automatic = ctx.get_automatic_weight_streaming_budget()
            assert abs(automatic - sum(bytes for bytes, _ in before.values())) <= STREAMABLE // 8, automatic
        assert (budgets(program), free(0)) == (before, held), budget
        check_towers(program)
    with refused("CapacityError", "The largest budget that fits is"), torchtrt_ws.weight_streaming(program) as ctx:
        ctx.device_budget = 0
        take(64 * MIB)  # by somebody else, who gives it back before the block ends
        try:
            ctx.device_budget = "7MiB"
        finally:
            give_back()
    assert (budgets(program), free(0)) == (before, held)
    take(63 * MIB)
    program.set_weight_streaming_budget(weight_streaming_budget_per_engine={"query": "100%"})
    give_back()
    assert budgets(program)["document"][0] < before["document"][0], "it was automatic, and makes room"


def case_equal_plans(folder: Path) -> None:
    """The plan of both is in the file once; mapped, a total is that of one copy of the weights."""
    assert (folder / "twins.pte").stat().st_size < STREAMABLE + MIB
    for mapped, total, each in ((True, 2 * MIB, 2 * MIB), (False, 2 * MIB, MIB), (True, "75%", 3 * MIB)):
        program = load(folder, "twins", weight_streaming_budget=total, mmap=mapped)
        assert {name: found[0] for name, found in budgets(program).items()} == dict.fromkeys(FACTORS, each)
        assert live("weights") == (RESIDENT + each) * (1 if mapped else 2)
        assert [engine.shared_with for engine in program.engines] == (
            [("query",), ("document",)] if mapped else [()] * 2
        )
        for name in program.method_names:
            np.testing.assert_array_equal(program.run(name, inputs())[0], 2 * inputs() + 1)
        del program
    program = load(folder, "twins", weight_streaming_budget=2 * MIB, share_engines=False)
    assert {found[0] for found in budgets(program).values()} == {MIB}
    program = load(folder, "twins", weight_streaming_budget_per_engine={"query": 3 * MIB})
    assert {found[0] for found in budgets(program).values()} == {3 * MIB}, "whichever is loaded first"


def case_a_block_over_shared_weights(folder: Path) -> None:
    import torchtrt_ws

    program = load(folder, "twins", weight_streaming_budget_per_engine="1MiB")
    assert live("weights") == RESIDENT + MIB, "the weights are there twice"
    before = budgets(program)
    with torchtrt_ws.weight_streaming(program) as ctx:
        assert (ctx.device_budget, ctx.total_device_budget) == (MIB, STREAMABLE)
        assert ctx.get_automatic_weight_streaming_budget() == STREAMABLE
        ctx.device_budget = "auto"
        assert ctx.device_budget == STREAMABLE
        for name in program.method_names:
            np.testing.assert_array_equal(program.run(name, inputs())[0], 2 * inputs() + 1)
    assert budgets(program) == before
    assert live("weights") == RESIDENT + MIB


def case_a_block_that_cannot_end(folder: Path) -> None:
    """A device of 6 MiB, of which somebody takes the most meanwhile."""
    import torchtrt_ws

    program = load(folder, "pair", weight_streaming_budget="4MiB")
    before = budgets(program)
    words = "no way back to its budget of 2097152 bytes", "Free memory on the device"
    with refused("CapacityError", *words), torchtrt_ws.weight_streaming(program) as ctx:
        ctx.device_budget = 0
        saved = program.saved_budgets()
        take(free(0) - MIB)
    give_back()
    program.restore_budgets(saved)
    assert {bytes for bytes, _ in budgets(program).values()} == {0}
    check_towers(program)
    program.set_weight_streaming_budget("4MiB")
    assert budgets(program) == before


TAKEN: list[ctypes.c_void_p] = []


def take(size: int) -> None:
    pointer = ctypes.c_void_p()
    assert standin().cudaMalloc(ctypes.byref(pointer), ctypes.c_size_t(size)) == 0
    TAKEN.append(pointer)


def give_back() -> None:
    while TAKEN:
        assert standin().cudaFree(TAKEN.pop()) == 0


def case_shared_engines(folder: Path) -> None:
    first = load(folder, "plain", weight_streaming_budget="50%")
    alone = live("device_total")
    second = load(folder, "plain", weight_streaming_budget="25%")
    assert first.engines[0].shared_with == second.engines[0].shared_with == ("tower",)
    assert second.engines[0].budget_bytes == STREAMABLE // 2, "the first load's budget stays"
    assert live("device_total") - alone < STREAMABLE // 4 + CONTEXT + SCRATCH, "no weights of its own"
    for program in (first, second, first):
        check(program)
    second.engines[0].set_budget("100%")
    assert first.engines[0].budget_bytes == STREAMABLE
    apart = load(folder, "plain", share_engines=False, weight_streaming_budget=0)
    assert apart.engines[0].shared_with == ()
    assert apart.engines[0].budget_bytes == 0
    for program in (first, second, apart):
        check(program)
    del first
    check(second)


def held(program: Any) -> dict[str, int]:
    """What the stand-ins hold for a program of one engine, and that its engine says the same."""
    (engine,) = program.engines
    bytes_of = {kind: live(kind) for kind in ("weights", "scratch", "context")}
    assert sum(bytes_of.values()) <= engine.device_bytes <= sum(bytes_of.values()) + live("device"), engine
    assert engine.scratch_bytes == bytes_of["scratch"]
    return bytes_of


def in_threads(threads: int, calls: int, call: Callable[[], object]) -> None:
    """Each thread calls so often; what one raises is raised here."""
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(lambda: [call() for _ in range(calls)]) for _ in range(threads)]:
            done.result()


def case_contexts(folder: Path) -> None:
    program = load(folder, "plain", contexts=3, weight_streaming_budget="50%")
    (engine,) = program.engines
    assert (engine.budget_bytes, engine.source, engine.shared_with) == (STREAMABLE // 2, "load-time", ())
    want = {"weights": RESIDENT + STREAMABLE // 2, "scratch": 3 * SCRATCH, "context": 3 * CONTEXT}
    assert held(program) == want, "weights once, and three contexts"
    in_threads(4, 200, partial(check, program))
    assert engine.runs == 800
    assert held(program) == want
    in_threads(1, 10, partial(check, program))
    assert engine.runs == 810 and engine.as_dict()["runs"] == 810
    del program
    assert live("execution_context") == 0, "Engine is a view of the program's, and keeps it"
    del engine
    assert live("device_total") == 0


def case_contexts_under_other_budgets(folder: Path) -> None:
    program = load(folder, "plain", contexts=3, weight_streaming_budget="50%")
    other = load(folder, "plain")
    assert other.engines[0].shared_with == ("tower",) * 3 and program.engines[0].shared_with == ("tower",)
    del other
    changes = (0, "25%", STREAMABLE, "auto", "1MiB") * 10
    done = threading.Event()

    def run_until_done() -> None:
        while not done.is_set():
            check(program)

    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(run_until_done) for _ in range(4)]
        try:
            for change in changes:
                program.set_weight_streaming_budget(change)
            for change in changes:
                program.engines[0].set_budget(change)
        finally:
            done.set()
        for run in runs:
            run.result()
    assert held(program) == {"weights": RESIDENT + MIB, "scratch": 3 * SCRATCH, "context": 3 * CONTEXT}
    assert budgets(program) == {"tower": (MIB, "load-time")}


def case_contexts_under_automatic_budgets(folder: Path) -> None:
    """A device of 5.5 MiB, of which 1 MiB is the margin: what is left holds one context and all weights, not three."""
    margin = {"weight_streaming_margin": "1MiB"}
    alone = load(folder, "plain", **margin)
    check(alone)
    assert budgets(alone) == {"tower": (STREAMABLE, "automatic")} and free(0) >= MIB
    del alone
    program = load(folder, "plain", contexts=3, **margin)
    in_threads(3, 20, partial(check, program))
    kept, source = budgets(program)["tower"]
    assert source == "automatic" and 2 * MIB < kept < STREAMABLE, program.engines
    assert MIB - 4 * KIB <= free(0) < MIB + STREAMABLE // 16, "as much as leaves the margin, and room for staging"
    for change in (0, "auto"):
        program.set_weight_streaming_budget(change)
    assert abs(budgets(program)["tower"][0] - kept) <= STREAMABLE // 16
    assert free(0) >= MIB - 4 * KIB, "a change forgot the other contexts"
    in_threads(3, 20, partial(check, program))


def case_contexts_of_two_engines_under_automatic_budgets(folder: Path) -> None:
    """A device of 10 MiB, of which 1 MiB is the margin."""
    program = load(folder, "pair", contexts=3, weight_streaming_margin="1MiB")
    in_threads(3, 20, lambda: check_towers(program))
    before = budgets(program)
    kept = [bytes for bytes, _ in before.values()]
    # One block of activation memory for each context, as large as the larger engine needs.
    assert sum(kept) >= 9 * MIB - 2 * RESIDENT - 3 * (CONTEXT + SCRATCH) - STREAMABLE // 4, before
    assert max(kept) - min(kept) <= STREAMABLE // 8 and free(0) >= MIB - 4 * KIB, before
    for change in (0, "auto"):
        program.set_weight_streaming_budget(change)
        in_threads(3, 20, lambda: check_towers(program))
    assert free(0) >= MIB - 4 * KIB, "a change forgot the other contexts"
    assert sum(bytes for bytes, _ in budgets(program).values()) >= sum(kept) - STREAMABLE // 8, budgets(program)


def case_a_block_over_contexts(folder: Path) -> None:
    import torchtrt_ws

    program = load(folder, "towers", contexts=2, weight_streaming_budget="2MiB")
    before = budgets(program)
    assert list(before.values()) == [(MIB, "load-time")] * 2
    for budget, each in (("3MiB", 3 * MIB // 2), ({"query": 3 * MIB // 2, "document": 3 * MIB // 2}, 3 * MIB // 2)):
        with torchtrt_ws.weight_streaming(program) as ctx:
            assert (ctx.device_budget, ctx.total_device_budget) == (2 * MIB, 2 * STREAMABLE)
            assert ctx.get_automatic_weight_streaming_budget() == 2 * STREAMABLE
            ctx.device_budget = budget
            assert (ctx.device_budget, live("weights")) == (2 * each, 2 * (RESIDENT + each))
            in_threads(3, 20, lambda: check_towers(program))
        assert budgets(program) == before
        assert live("weights") == 2 * (RESIDENT + MIB)
    twins = load(folder, "twins", contexts=2, weight_streaming_budget_per_engine="1MiB")
    assert [engine.shared_with for engine in twins.engines] == [("query",), ("document",)], "each other's, once"


def case_contexts_do_not_fit(folder: Path) -> None:
    """A device of 4 MiB: room for the weights that are kept and two contexts that stream."""
    import torchtrt_ws

    fits = dict(weight_streaming_budget="2MiB")
    try:
        load(folder, "plain", contexts=3, **fits)
    except torchtrt_ws.CapacityError as error:
        assert "context 3 of 3" in str(error) and "fewer contexts" in str(error), error
        # Here, where the error and its traceback live: nothing waits for them to go.
        assert live("device_total") == 0 and live("engine") == 0
    else:
        raise AssertionError("three contexts fit")
    program = load(folder, "plain", contexts=2, **fits)
    want = held(program)
    assert want == {"weights": RESIDENT + 2 * MIB, "scratch": 2 * SCRATCH, "context": 2 * CONTEXT}
    with refused("CapacityError"):
        program.set_weight_streaming_budget("3MiB")
    assert held(program) == want
    assert budgets(program) == {"tower": (2 * MIB, "load-time")}
    in_threads(3, 50, lambda: check(program))


def case_activation_memory(folder: Path) -> None:
    def working() -> int:
        return live("device_total") - live("weights")

    x = inputs()
    taken = {}
    for shared in (False, True):
        program = load(folder, "towers", weight_streaming_budget=0, share_activation_memory=shared)
        taken[shared] = working()
        for _ in range(3):
            for y, factor in zip(program(x), FACTORS.values(), strict=True):
                np.testing.assert_array_equal(y, factor * x + 1)
        del program
    assert taken[False] - taken[True] == CONTEXT + SCRATCH, taken


def case_a_total_without_recorded_sizes(folder: Path) -> None:
    with refused("BudgetError", "weight_streaming_total_budget"):
        load(folder, "theirs", weight_streaming_budget="1MiB")
    program = load(folder, "theirs", weight_streaming_budget="50%")
    with refused("BudgetError", "weight_streaming_total_budget"):
        program.set_weight_streaming_budget("1MiB")
    assert [engine.budget_bytes for engine in program.engines] == [STREAMABLE // 2] * 2


def case_device_id(folder: Path) -> None:
    program = load(folder, "plain", device_id=1, weight_streaming_budget=0)
    check(program)
    assert free(0) > free(1), "device 1 has the engine"
    with refused("EngineError", "device"):
        load(folder, "plain", device_id=7)


def case_runtime_cache(folder: Path) -> None:
    """The adapter that is installed was compiled with TensorRT's headers, which have no cache: it says so, once."""
    import logging

    said: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    kept = Kept()
    logging.getLogger("torchtrt_ws").addHandler(kept)
    logging.getLogger("torchtrt_ws").setLevel(logging.INFO)
    check(load(folder, "rtx", runtime_cache="off"))
    check(load(folder, "rtx"))
    assert not [line for line in said if "runtime_cache" in line], said
    for _ in range(2):
        check(load(folder, "rtx", runtime_cache=folder / "kernels", share_engines=False))
    assert len([line for line in said if "runtime_cache has no effect" in line]) == 1, said
    assert not (folder / "kernels").exists()
    for wrong in ("", "x" * 256):
        with refused("ProgramError", "runtime_cache", "a folder of 1 to 255 bytes"):
            load(folder, "rtx", runtime_cache=wrong)


def case_warm(folder: Path) -> None:
    """TensorRT-RTX compiles kernels in each load with an adapter that was compiled without its headers; TensorRT none.
    Profiles of 1 to 2 and 4 to 8 rows: the least and the largest batch are called."""
    from torchtrt_ws.warming import COLD, KEEPS_NOTHING, warm

    for name, state in (("rtx", COLD), ("profiles", KEEPS_NOTHING)):
        report = warm(folder / f"{name}.pte", weight_streaming_budget="0")
        assert [engine.state for engine in report.engines] == [state], report
        assert (report.calls, report.ok) == (2, state != COLD), report
    assert warm(folder / "towers.pte", device_id=1, run=False).calls == 0
    assert warm(folder / "twins.pte").calls == 4, "two methods on one plan"
    with load(folder, "plain") as loaded, refused("ProgramError", "another program of this process"):
        warm(folder / "plain.pte")
    del loaded


def case_cuda_graph(folder: Path) -> None:
    program = load(folder, "plain", cuda_graph=True)
    x = inputs()
    for _ in range(5):
        (y,) = program(x)
        np.testing.assert_array_equal(y, 2 * x + 1)
    assert calls("cudaGraphLaunch") > 0, "no run was replayed"
    program.engines[0].set_budget("50%")
    for rows in (2, 2, 2, 5, 5, 5):
        check(program, rows)


def case_cuda_graph_where_it_pays(folder: Path) -> None:
    program = load(folder, "plain", cuda_graph="auto")
    never = load(folder, "plain", cuda_graph="off"), load(folder, "plain")
    x = inputs()
    for _ in range(8):
        (y,) = program(x)
        np.testing.assert_array_equal(y, 2 * x + 1)
    launches = calls("cudaGraphLaunch")
    assert launches == 4, launches
    for _ in range(8):
        for each in never:
            each(x)
    assert calls("cudaGraphLaunch") == launches, "off is off, and the default"
    for rows in (2, 2, 2, 2, 2, 2, 5, 5, 5, 5, 5, 5):
        check(program, rows)
    with refused("ProgramError", "cuda_graph", "maybe", "auto"):
        load(folder, "plain", cuda_graph="maybe")


def case_cuda_graph_that_the_file_wants(folder: Path) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for wanted, replays in ((None, 4), ("auto", 2), (False, 0)):  # of six calls
        program = load(folder, "their_graphs", **({} if wanted is None else {"cuda_graph": wanted}))
        before = calls("cudaGraphLaunch")
        for _ in range(6):
            (y,) = program(x)
            np.testing.assert_array_equal(y, 2 * x + 1)
        assert calls("cudaGraphLaunch") - before == replays, wanted


def case_cuda_graph_while_others_load(folder: Path) -> None:
    """Captures and replays in two threads, loads, which allocate, in two others."""
    programs = [load(folder, "plain", share_engines=False, cuda_graph="auto") for _ in range(2)]

    def use(program: Any) -> None:
        for rows in (3, 5, 3, 5):
            for _ in range(8):
                check(program, rows)

    def reload() -> None:
        for _ in range(5):
            check(load(folder, "plain", share_engines=False))

    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(use, program) for program in programs] + [pool.submit(reload) for _ in range(2)]
    for each in work:
        each.result()
    assert calls("cudaGraphLaunch") > 0, "no run was replayed"


def case_optimization_profiles(folder: Path) -> None:
    for keywords in ({}, {"cuda_graph": True}, {"contexts": 2}):
        program = load(folder, "profiles", weight_streaming_budget="50%", **keywords)
        for rows in (8, 1, 2, 4, 4, 4, 4, 4, 2, 8):
            check(program, rows)
        with refused("ProgramError", '"x" [3, 4]', '0: "x" [1..2, 4]', '1: "x" [4..8, 4]'):
            program(inputs(3))
        check(program, 8)
        del program


def case_planned_on_the_device(folder: Path) -> None:
    at_budget(folder, "50%", STREAMABLE // 2, name="device")


def case_planned_on_the_device_and_no_adapter_yet(folder: Path) -> None:
    """As a loader does that knows only ExecuTorch, which asks for device memory before it initializes any delegate."""
    import torchtrt_ws
    from torchtrt_ws._native import Program, engine_report

    torchtrt_ws.set_defaults(weight_streaming_budget="25%")
    assert "libtorchtrt_ws_tensorrt" not in Path("/proc/self/maps").read_text()
    program = Program(str(folder / "device.pte"), [], True)
    program.load_method("forward")
    assert "libtorchtrt_ws_tensorrt" in Path("/proc/self/maps").read_text()
    (y,) = program.execute("forward", [inputs()])
    np.testing.assert_array_equal(np.asarray(y), 2 * inputs() + 1)
    (engine,) = program.engine_ids()
    report = engine_report(engine)
    assert (report["budget_bytes"], report["source"]) == (STREAMABLE // 4, "process default")


def case_planned_on_a_device_that_is_not_there(folder: Path) -> None:
    """A machine without a GPU: the reason is told, not only that an allocation failed."""
    from torchtrt_ws._native import Error, Program

    program = Program(str(folder / "device.pte"), [], True)
    try:
        program.load_method("forward")
    except Error as error:
        assert "device memory" in error.args[1], error.args
    else:
        raise AssertionError("loaded without a device")


def case_does_not_fit(folder: Path) -> None:
    """A device of 3 MiB."""
    with refused("CapacityError", str(3 * MIB)):
        load(folder, "plain", weight_streaming_budget="3MiB")
    assert live("device_total") == 0
    program = load(folder, "plain")  # automatic: as much as fits
    check(program)
    (engine,) = program.engines
    before = engine.budget_bytes
    assert 0 < before < 3 * MIB, engine
    with refused("CapacityError"):
        engine.set_budget("3MiB")
    assert engine.budget_bytes == before
    check(program)


def case_set_budget(folder: Path) -> None:
    program = load(folder, "plain")
    (engine,) = program.engines
    for budget, wanted in (("50%", STREAMABLE // 2), (0, 0), ("1MiB", MIB), ("auto", STREAMABLE)):
        engine.set_budget(budget)
        check(program)
        assert (engine.budget_bytes, engine.source) == (wanted, "load-time"), engine
    with refused("BudgetError", "-1"):
        engine.set_budget(-1)
    assert engine.budget_bytes == STREAMABLE


def case_without_our_metadata(folder: Path) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for keywords, budgets in (
        ({"weight_streaming_budget_per_engine": {"engine0": MIB, "engine1": 2 * MIB}}, [MIB, 2 * MIB]),
        ({"weight_streaming_budget": "50%"}, [STREAMABLE // 2] * 2),
        ({}, [STREAMABLE] * 2),
    ):
        program = load(folder, "theirs", **keywords)
        np.testing.assert_array_equal(program(x)[0], 5 * (2 * x + 1) + 1)
        assert [(e.name, e.budget_bytes) for e in program.engines] == [
            ("engine0", budgets[0]),
            ("engine1", budgets[1]),
        ]
        del program


def case_data_files(folder: Path) -> None:
    """model.ptd beside model.pte, one of another name, and one elsewhere."""
    import shutil

    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    want = (2 * x + 1) * np.array([[2], [10]])
    for name, file in (("named", "named.ptd"), ("apart", "weights.ptd")):
        home = folder / name
        assert [each.name for each in home.glob("*.ptd")] == [file]
        (home / "notes.ptd").write_bytes(b"not one at all, and longer than its header")
        for source, keywords in (
            (home / f"{name}.pte", {}),
            (home / f"{name}.pte", {"mmap": False}),
            (home / f"{name}.pte", {"data": [home / file]}),
            ((home / f"{name}.pte").read_bytes(), {"data": [str(home / file)]}),
        ):
            import torchtrt_ws

            with torchtrt_ws.load(source, **keywords) as program:
                np.testing.assert_array_equal(program(x)[0], want)
        with refused("ProgramError", "scale"):
            torchtrt_ws.load(home / f"{name}.pte", data=[])
        with refused("ProgramError", "notes.ptd", ".ptd"):
            torchtrt_ws.load(home / f"{name}.pte", data=[home / "notes.ptd"])
        with refused("ProgramError", "a list of paths"):
            torchtrt_ws.load(home / f"{name}.pte", data=str(home / file))
        if name == "apart":
            shutil.copy(home / file, home / "twice.ptd")
            with refused("ProgramError", "twice.ptd", "weights.ptd", "data=[...]"):
                torchtrt_ws.load(home / f"{name}.pte")
            (home / "twice.ptd").unlink()
        (home / file).unlink()
        with refused("ProgramError", "no file with the tensor 'scale'"):
            torchtrt_ws.load(home / f"{name}.pte")
        (home / "notes.ptd").unlink()
        with refused("ProgramError", "scale"):
            torchtrt_ws.load(home / f"{name}.pte")


def case_newer_schema(folder: Path) -> None:
    with refused("ProgramError", "schema"):
        load(folder, "newer")


def case_other_version(folder: Path) -> None:
    with refused("ProgramError", "10.3.0"):
        load(folder, "version")


def case_other_compute_capability(folder: Path) -> None:
    with refused("ProgramError"):
        load(folder, "compute")


def case_other_platform(folder: Path) -> None:
    with refused("ProgramError"):
        load(folder, "platform")


def case_damaged_plan(folder: Path) -> None:
    with refused("ProgramError"):
        load(folder, "damaged")


def case_inputs_on_a_device(folder: Path) -> None:
    class OnDevice:
        """What a CUDA tensor looks like through DLPack; its memory must not be read."""

        dtype, shape = np.dtype("float32"), (2, 4)

        def __init__(self, kind: int) -> None:
            self.kind = kind

        def __dlpack_device__(self) -> tuple[int, int]:
            return self.kind, 0

        def __dlpack__(self, **keywords: Any) -> Any:
            raise AssertionError("its memory was asked for")

    program = load(folder, "plain")
    with refused("ProgramError", "device type 10", "cpu()"):  # kDLROCM
        program(OnDevice(10))
    check(program)


def case_no_device(folder: Path) -> None:
    with refused("EngineError"):
        load(folder, "plain")


def case_a_failed_run_leaves_the_program_usable(folder: Path) -> None:
    program = load(folder, "plain")
    check(program)
    controls = standin()
    controls.standin_fail.argtypes = [ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int]
    controls.standin_fail(b"enqueueV3", 1, 1, 0)
    with refused("EngineError"):
        program(inputs())
    check(program)
    assert program.engines[0].runs == 2


# What the device is like, where it is not the stand-in's default: two devices of 8 GiB.
ENVIRONMENT = {
    "reserve": {"STANDIN_DEVICE_BYTES": str(5 * MIB)},
    # TensorRT's automatic budget leaves the margin, and the first run takes of it to stage its tensors.
    "does_not_fit": {"STANDIN_DEVICE_BYTES": str(3 * MIB), "STANDIN_AUTOMATIC_MARGIN": str(64 * KIB)},
    "contexts_under_automatic_budgets": {"STANDIN_DEVICE_BYTES": str(11 * MIB // 2)},
    "contexts_of_two_engines_under_automatic_budgets": {"STANDIN_DEVICE_BYTES": str(10 * MIB)},
    "contexts_do_not_fit": {"STANDIN_DEVICE_BYTES": str(4 * MIB)},
    "a_block": {"STANDIN_DEVICE_BYTES": str(70 * MIB)},
    "a_block_that_cannot_end": {"STANDIN_DEVICE_BYTES": str(6 * MIB)},
    "automatic_by_latency": {"STANDIN_DEVICE_BYTES": str(70 * MIB)},
    "automatic_for_two": {"STANDIN_DEVICE_BYTES": str(70 * MIB)},
    "reserve_for_two": {"STANDIN_DEVICE_BYTES": str(70 * MIB)},
    "margin": {"STANDIN_DEVICE_BYTES": str(6 * MIB)},
    "set_budgets_of_a_program": {"STANDIN_DEVICE_BYTES": str(6 * MIB)},
    "no_device": {"STANDIN_DEVICES": "0"},
    "planned_on_a_device_that_is_not_there": {"STANDIN_DEVICES": "0"},
}
CASES: dict[str, Callable[[Path], None]] = {
    name.removeprefix("case_"): case for name, case in list(globals().items()) if name.startswith("case_")
}


def main(what: str, folder: Path, *library: str) -> None:
    if what == "write":
        write(folder, *library)
        return
    CASES[what](folder)
    if "libcudart" not in Path("/proc/self/maps").read_text():
        return
    controls = standin()
    misuses = [controls.standin_misuse(index).decode() for index in range(controls.standin_misuses())]
    assert not misuses, misuses


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])

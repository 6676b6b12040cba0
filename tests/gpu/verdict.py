"""What in a GPU report must be so: a list of what is not. Numbers of speed and memory never fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import decoder

LEAST_COSINE = 0.999  # of MiniLM's embeddings and SmolLM2's logits, against eager PyTorch's


def problems(results: dict[str, Any]) -> list[str]:
    """What failed in a report.

    Args:
        results: The sections of gpu-<name>.json; those that are not there were not asked for.

    Returns:
        One line for each problem, which begins with its section.
    """
    found = []
    for name, section in results.items():
        failed = section.get("failed") if isinstance(section, dict) else None
        if isinstance(failed, str):  # the section itself; `changes` counts failed runs under this key
            found.append(f"{name}: {failed}")
            continue
        try:
            found += [f"{name}: {problem}" for problem in CHECKS.get(name, _nothing)(section)]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            found.append(f"{name}: cannot be checked: {type(error).__name__}: {error}")
    return found


def _nothing(section: Any) -> Iterator[str]:
    yield from ()


def _at_least_one(rows: Any) -> Iterator[str]:
    if not rows:
        yield "nothing was measured"


def _answers(section: dict[str, Any]) -> Iterator[str]:
    yield from _at_least_one(section)
    for name, rows in section.items():
        yield from _at_least_one(rows)
        for row in rows:
            if row["largest_difference"] != 0:  # integers, exact in float16; NaN differs too
                yield f"{name} at {row['percent']} %: outputs differ by {row['largest_difference']}"


def _towers(section: Any) -> Iterator[str]:
    yield from _at_least_one(section)
    for row in section:
        if row["largest_difference"] != 0:
            yield f"{row['asked']}: outputs differ by {row['largest_difference']}"


def _minilm(section: dict[str, Any]) -> Iterator[str]:
    if "skipped" in section:
        return
    for how in ("runner", "python"):
        rows = section[how]
        if isinstance(rows, dict):
            if "skipped" not in rows:
                yield f"{how}: {rows}"
            continue
        yield from _at_least_one(rows)
        for row in rows:
            if not row["cosine"] >= LEAST_COSINE:
                yield f"{how} at {row['asked']}: cosine {row['cosine']}"


def _commands(section: dict[str, Any]) -> Iterator[str]:
    yield from _at_least_one(section)
    for name, found in section.items():
        if not found["loads"]:
            yield f"{name}: check says that it does not load"
        for row in found["held_out"]:
            # TensorRT takes whole weights, so what was set may be less.
            if any(taken > row["planned"][engine] for engine, taken in row["budgets"].items()):
                yield f"{name} at {row['budget']}: plan says {row['planned']}, a load took {row['budgets']}"


def _refit(section: dict[str, Any]) -> Iterator[str]:
    yield from _at_least_one(section)
    for name, case in section.items():
        yield from _tests(name, case)


def _separate(section: Any) -> Iterator[str]:
    if "skipped" in section:
        return
    yield from _at_least_one(section)
    for name, row in section.items():
        for budget, same in row["equal"].items():
            if not same:
                yield f"{name} at {budget}: not what the whole program answers"
        if not row["cached_equal"]:
            yield f"{name} from the cache: not what the whole program answers"
        hits = [load["cache_hits"] for load in row["loads"].values()]
        if hits != [0, 0, 0, 1]:
            yield f"{name}: cache hits {hits}"
        if f"{name}.ptd" not in row["without_weights"]:
            yield f"{name} without its weights: {row['without_weights']}"


def _separate_save(section: Any) -> Iterator[str]:
    if "skipped" in section:
        return
    yield from _at_least_one(section["equal"])
    for budget, same in section["equal"].items():
        if not same:
            yield f"at {budget}: not what the whole program answers"
    if not section["merged_equal"]:
        yield "merged: not what the whole program answers"
    if not section["cosine"] >= LEAST_COSINE:
        yield f"cosine {section['cosine']}"


def _quantized(section: Any) -> Iterator[str]:
    if "skipped" in section:
        return
    yield from _at_least_one(section)
    for name, row in section.items():
        if not row["right"]:
            yield f"{name}: an error of {row['largest_error']}, of outputs up to {row['largest_output']}"
        if not row["equal_at_all_budgets"]:
            yield f"{name}: other answers at other budgets"


def _smollm2(section: Any) -> Iterator[str]:
    if isinstance(section, dict):
        return
    yield from _at_least_one(section)
    for row in section:
        if not row["cosine"] >= LEAST_COSINE:
            yield f"at {row['budget']}: cosine {row['cosine']}"
        if not row["same_text"]:
            yield f"at {row['budget']}: another text from token {row['same_tokens']} on"


def _precedence(section: dict[str, Any]) -> Iterator[str]:
    yield from _at_least_one(section)
    for label, outcome in section.items():
        yield from _ran(label, outcome)


def _full(section: dict[str, Any]) -> Iterator[str]:
    yield from _at_least_one(section)
    for outcomes in section.values():
        for how in ("automatic", "all_weights", "nothing"):
            # An error that says it does not fit is an answer; another, or a run that fails, is not.
            if outcomes[how]["error"] != "Error::MemoryAllocationFailed":
                yield from _ran(f"{outcomes['free']} bytes free, {how}", outcomes[how])


def _ran(label: str, outcome: dict[str, Any]) -> Iterator[str]:
    if outcome["error"] != "Error::Ok":
        yield f"{label}: {outcome['error']}: {outcome.get('message', '')}"
    elif not outcome["ran"]:
        yield f"{label}: loaded, and ran wrong"


def _changes(section: dict[str, Any]) -> Iterator[str]:
    for key in ("failed", "wrong"):
        if section[key] != 0:
            yield f"{section[key]} of {section['runs']} runs {key}"
    if not section["runs"]:
        yield "nothing ran meanwhile"


def _split(section: list[dict[str, Any]]) -> Iterator[str]:
    yield from _at_least_one(section)
    for row in section:
        for order in ("ours", "ours_reversed"):
            label = f"{row['program']}, {row['factor']:g}x free, {order}"
            yield from (f"{label}: {words}" for words in row[order]["failed"])
            yield from _at_least_one(row[order]["engines"])
            yield from (
                f"{label}: {engine['method']} ran wrong" for engine in row[order]["engines"] if not engine["us"] > 0
            )


def _copies(section: dict[str, Any]) -> Iterator[str]:
    for how in ("shared", "apart"):
        yield from _at_least_one(section[how])
        yield from (f"{how}: load {i} ran wrong" for i, row in enumerate(section[how], start=1) if not row["right"])
    first, last = section["shared"][0], section["shared"][-1]
    if last["device"] > 1.5 * first["device"]:
        yield f"shared: {last['device']} bytes after {len(section['shared'])} loads, {first['device']} after one"


def _activation(section: list[dict[str, Any]]) -> Iterator[str]:
    yield from _at_least_one(section)
    for row in section:
        yield from (f"{row['percent']} %, {how}: ran wrong" for how in ("block", "apart") if not row[how]["right"])
        if row["block"]["device"] > row["apart"]["device"]:
            yield f"{row['percent']} %: {row['block']['device']} bytes in one block, {row['apart']['device']} apart"


def _verify(section: dict[str, Any]) -> Iterator[str]:
    damaged = section["damaged"]
    yield from (f"{how}: a damaged plan was loaded" for how in ("checksum", "digest") if damaged[how]["exit"] == 0)


def _large(section: dict[str, Any]) -> Iterator[str]:
    if "skipped" in section:
        return
    yield from _at_least_one(section["rows"])
    yield from _at_least_one(section["answers"])
    for row in section["answers"]:  # 160 layers round in float16
        if not row["cosine"] >= LEAST_COSINE:
            yield f"at {row['percent']} %: cosine {row['cosine']}"


def _probes(section: dict[str, Any]) -> Iterator[str]:
    for verify, outcome in section["unchanged"].items():
        if outcome != "right":
            yield f"{verify}: the good plan: {outcome}"
    found = section["probes"]["checksum"]  # what TensorRT does with `off` is its own
    yield from _at_least_one(found)
    for position, outcome in zip(section["positions"], found, strict=True):
        if outcome != "refused":
            yield f"checksum: byte {position} changed: {outcome}"


def _contexts(section: dict[str, Any]) -> Iterator[str]:
    yield from _at_least_one(section)
    for name, rows in section.items():
        yield from _at_least_one(rows)
        for row in rows:
            where = f"{name} at {row['percent']} %, {row['contexts']} contexts"
            if row["wrong"] != 0:
                yield f"{where}: {row['wrong']} calls failed or were wrong"
            if row["sharing"] != row["contexts"]:
                yield f"{where}: {row['sharing']} on the weights of the first"


def _arbiter(section: dict[str, Any]) -> Iterator[str]:
    yield from _at_least_one(section)
    for label, scene in section.items():
        yield from _at_least_one(scene["lives"])
        for life in scene["lives"]:
            steps = {row["step"]: row for row in life["steps"]}
            for name, row in steps.items():
                if "failed" in row:
                    yield f"{label}: {name}: {row['failed']}"
                elif name == "sleep":
                    if any(row["right"]) or not all(each["asleep"] for each in row["engines"]):
                        yield f"{label}: sleep: an engine is awake"
                elif not all(row["right"]):
                    yield f"{label}: {name}: ran wrong"
            if (kept := steps["sleep"]["device"]) > steps["load"]["device"] // 10:
                yield f"{label}: sleep: {kept} bytes stay on the device, of {steps['load']['device']}"
            if steps["make_room"]["freed"] < scene["room"]:
                yield f"{label}: make_room: {steps['make_room']['freed']} bytes of {scene['room']} are free"
            for name in ("give_back", "wake"):
                if budgets_of(steps[name]) != budgets_of(steps["load"]):
                    yield f"{label}: {name}: budgets {budgets_of(steps[name])}, not {budgets_of(steps['load'])}"


def budgets_of(row: dict[str, Any]) -> list[tuple[int, str]]:
    """Budget and source of each engine after a step of the section `arbiter`."""
    return [(engine["budget"], engine["source"]) for engine in row["engines"]]


def _runtime_cache(section: dict[str, Any]) -> Iterator[str]:
    if isinstance(section.get("skipped"), str):  # an adapter without TensorRT-RTX's own headers
        return
    yield from _at_least_one(section)
    for name, rows in section.items():
        yield from _at_least_one(rows)
        for row in rows:
            for how, samples in row["samples"].items():
                where = f"{name} at {row['percent']} %, {how}"
                yield from _at_least_one(samples)
                for sample in samples:
                    if sample["largest_difference"] != 0:
                        yield f"{where}: outputs differ by {sample['largest_difference']}"
                    if sample["cache_hits"] != (how == "second"):
                        yield f"{where}: {sample['cache_hits']} cache hits"


def _acceptance(section: dict[str, Any]) -> Iterator[str]:
    yield from _at_least_one(section.get("plain"))
    for how, result in section.items():
        yield from _tests(how, result)


def _tests(how: str, result: dict[str, Any]) -> Iterable[str]:
    if isinstance(result.get("skipped"), str):  # a tool that the machine lacks
        return []
    if result["failed"]:
        return [f"{how}: failed: {', '.join(result['failed'])}"]
    if result["exit"] != 0:
        return [f"{how}: exit code {result['exit']} {result.get('summary', '')}".rstrip()]
    return [] if result["passed"] else [f"{how}: no test passed"]


CHECKS: dict[str, Callable[[Any], Iterator[str]]] = {
    "answers": _answers,
    "planned": _answers,
    "towers": _towers,
    "minilm": _minilm,
    "decoder": decoder.problems,
    "precedence": _precedence,
    "full": _full,
    "changes": _changes,
    "changes_big": _changes,
    "verify": _verify,
    "large": _large,
    "runtime_cache": _runtime_cache,
    "probes": _probes,
    "split": _split,
    "copies": _copies,
    "activation": _activation,
    "contexts": _contexts,
    "arbiter": _arbiter,
    "acceptance": _acceptance,
    "commands": _commands,
    "refit": _refit,
    "refit_large": _refit,
    "separate": _separate,
    "separate_save": _separate_save,
    "quantized": _quantized,
    "smollm2": _smollm2,
}

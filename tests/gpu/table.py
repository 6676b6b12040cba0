"""The GPU report as Markdown."""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

import decoder

MIB = 2**20


def markdown(results: dict[str, Any]) -> str:
    device = results.get("device", {})
    lines = [f"# {device.get('gpu', 'GPU')}, driver {device.get('driver', 'unknown')}\n"]
    lines.append(
        "Made by `tests/gpu/report.py`. The floor is bare TensorRT (`benchmarks/gpu/floor.cpp`) with the same plan, "
        "processes in turn with ours; times are medians over three processes of the median call.\n"
    )
    parts = [
        ("small", "Small plan: 17 MB of fp16 weights, 8 layers, batch 16", _latency),
        ("small", "Small plan: graphs off, and auto", _graphs),
        ("big", "Big plan: 537 MB of fp16 weights, 16 layers, batch 16", _latency),
        ("big", "Big plan: graphs off, and auto", _graphs),
        ("small", "Beside Torch-TensorRT's delegate", partial(_beside, big=results.get("big"))),
        ("crossover", "One tensor in pageable memory: a copy of CUDA's own, or through pinned memory", _crossover),
        ("big", "Big plan: loading, and memory", _memory),
        ("big", "Big plan: streaming", _streaming),
        ("answers", "Right answers at every budget (examples/cpp_app, against numpy)", _answers),
        ("planned", "The same with delegate tensors planned in device memory (target_device)", _answers),
        ("towers", "Two engines in one program, one total budget (Python)", _towers),
        ("minilm", "MiniLM built for TensorRT-RTX on a CPU, against eager PyTorch", _minilm),
        ("decoder", "A decoder with a large table and head: one engine, and the export for streaming", _decoder),
        (
            "verify",
            "What comparing an engine's bytes costs a load (big plan, median of 7), and one changed bit",
            _verify,
        ),
        ("large", "Loading a large plan from a warm file: host memory, and seconds (least of three)", _large),
        (
            "runtime_cache",
            "Making the execution context: without a runtime cache, with an empty one, in the next process (medians)",
            _runtime_cache,
        ),
        ("probes", "One byte of the small plan changed, at 24 places spread over it (examples/cpp_app)", _probes),
        ("split", "A program of several engines on a device with less than their weights free", _split),
        ("copies", "One file loaded several times in a process (big plan, all weights resident)", _copies),
        ("precedence", "Who decides the budget (read back from TensorRT)", _outcomes),
        ("full", "The device nearly full (big plan)", _full),
        (
            "changes",
            "Budget changes while two threads run (small plan)",
            partial(_changes, floor=results.get("changes_floor")),
        ),
        ("changes_big", "Budget changes while two threads run (big plan)", _changes),
        ("activation", "Where the contexts of three engines work: one block of device memory, or apart", _activation),
        ("contexts", "Calls at the same time: N threads, a module each, one copy of the weights", _contexts),
        ("arbiter", "Memory made free and given back, sleep and wake, beside a load (medians)", _arbiter),
        ("commands", "`bench`, and `plan` at budgets that bench did not measure", _commands),
        ("refit", "Plans without their weights, which come from a file at load", _refit),
        ("refit_large", "The same of a decoder of Llama 3 8B's shape", _refit),
        ("separate", "Programs with their weights in a file of their own (torchtrt_ws.load)", _separate),
        ("separate_save", "A decoder saved here, whole and with its weights apart", _separate_save),
        ("quantized", "Quantized weights: 8 layers of 2048 x 2048, batch 16, tensors on the host", _quantized),
        ("smollm2", "SmolLM2-135M-Instruct in fp16 answers a question (examples/llm)", _smollm2),
        ("python_calls", "A call from Python with torch's tensors on the device, all waited for", _python_calls),
        ("broken_captures", "Bare TensorRT: captures into a graph that another thread breaks", _broken_captures),
        ("acceptance", "Acceptance tests (tests/engine/tensorrt)", _acceptance),
    ]
    for key, title, write in parts:
        section = results.get(key)
        if section is None:
            continue
        failed = section.get("failed") if isinstance(section, dict) else None
        written = [f"Failed: {failed}"] if isinstance(failed, str) else write(section)
        lines += [f"\n## {title}\n", *written] if written else []
    return "\n".join(lines) + "\n"


def _table(head: list[str], rows: list[list[object]]) -> list[str]:
    body = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(map(str, row)) + " |" for row in body]


def _latency(rows: list[dict[str, Any]]) -> list[str]:
    keys = ("floor_us", "callers_stream_us", "own_stream_us", "host_io_us", "floor_graph_us", "graph_us")
    head = [
        "resident",
        "floor us",
        "ours, caller's stream",
        "ours, no stream",
        "ours, host I/O",
        "floor, CUDA graph",
        "ours, CUDA graph",
        "ours / floor",
        "graph / floor",
    ]
    return _table(
        head,
        [
            [
                f"{row['percent']} %",
                *(f"{row[key]:.1f}" for key in keys),
                f"{row['callers_stream_us'] / row['floor_us']:.3f}",
                f"{row['graph_us'] / row['floor_us']:.3f}",
            ]
            for row in rows
        ],
    )


def _graphs(rows: list[dict[str, Any]]) -> list[str]:
    """By where the tensors are. The floor of host tensors, of the file too, is bare TensorRT with pageable copies."""
    if any("graph_device_bytes" not in row for row in rows):
        return []  # the report is from before this table
    ways = (
        ("device, caller's stream", "floor_us", "callers_stream_us", "graph_us"),
        ("device, no stream", "floor_us", "own_stream_us", "graph_own_stream_us"),
        ("host", "floor_host_io_us", "host_io_us", "graph_host_io_us"),
        ("the file through Module, host", "floor_host_io_us", "default_file_us", "graph_default_file_us"),
    )
    head = ["resident", "tensors", "floor us", "off", "auto", "off / floor", "auto / floor", "MB of a graph"]
    body: list[list[object]] = []
    for row in rows:
        for label, *keys in ways:
            floor, off, auto = (row[key] for key in keys)
            times = [f"{us:.1f}" for us in (floor, off, auto)]
            ratios = [f"{us / floor:.3f}" for us in (off, auto)]
            body.append([f"{row['percent']} %", label, *times, *ratios, f"{row['graph_device_bytes'] / 1e6:.1f}"])
    return _table(head, body)


# Of Torch-TensorRT's delegate, by 2026-11-24 on an H100, with such plans, and bare TensorRT in the same run; not by
# this report. Medians of processes were from 60 to 104 us for the first.
QUOTED_US = {  # row: bare TensorRT, Torch-TensorRT
    "small plan, device tensors": (65, 95),
    "small plan, host tensors": (106, 87),
    "big plan, a file with default options": (331, 364),
}


def _beside(small: list[dict[str, Any]], big: Any) -> list[str]:
    """All weights resident. Machines differ, so what compares is the share of the floor beside it."""
    if "graph_device_bytes" not in small[0] or not isinstance(big, list):
        return []
    ours = (
        (small[0], "floor_us", "callers_stream_us", "graph_us"),
        (small[0], "floor_host_io_us", "host_io_us", "graph_host_io_us"),
        (big[0], "floor_host_io_us", "default_file_us", "graph_default_file_us"),
    )
    body: list[list[object]] = []
    for (label, (their_floor, theirs)), (row, *keys) in zip(QUOTED_US.items(), ours, strict=True):
        floor, off, auto = (row[key] for key in keys)
        body.append(
            [
                *(label, their_floor, theirs, f"{theirs / their_floor:.2f}"),
                *(f"{floor:.0f}", f"{off:.0f}", f"{off / floor:.2f}", f"{auto:.0f}", f"{auto / floor:.2f}"),
            ]
        )
    head = ["quoted, H100", "floor us", "Torch-TensorRT us", "of floor"]
    lines = _table([*head, "floor us here", "ours us", "of floor", 'ours us, `cuda_graph="auto"`', "of floor"], body)
    device, quoted = (QUOTED_US[f"small plan, {where} tensors"] for where in ("device", "host"))
    said = "Tensors on the host cost {:.0f} us more than bare TensorRT takes with tensors on the device; quoted {}."
    return [*lines, "", said.format(small[0]["host_io_us"] - small[0]["floor_us"], quoted[1] - device[0])]


def _crossover(rows: list[dict[str, Any]]) -> list[str]:
    head = ["KiB", "to the device: direct us", "pinned us", "faster", "to the host: direct us", "pinned us", "faster"]
    return _table(
        head,
        [
            [
                row["bytes"] // 1024,
                *(
                    f"{row[way][how]:.1f}" if how != "faster" else row[way][how]
                    for way in ("to_device", "to_host")
                    for how in ("direct", "pinned", "faster")
                ),
            ]
            for row in rows
        ],
    )


def _memory(rows: list[dict[str, Any]]) -> list[str]:
    head = [
        "resident",
        "device MB, floor",
        "device MB, ours",
        "host peak over before MB, floor",
        "ours",
        "load s, floor",
        "ours",
    ]
    return _table(
        head,
        [
            [
                f"{row['percent']} %",
                *(f"{row[f'{kind}_device_bytes'] / 1e6:.0f}" for kind in ("floor", "ours")),
                *(f"{row[f'{kind}_host_peak_over_before_bytes'] / 1e6:.0f}" for kind in ("floor", "ours")),
                *(f"{row[f'{kind}_load_seconds']:.2f}" for kind in ("floor", "ours")),
            ]
            for row in rows
        ],
    )


def _streaming(rows: list[dict[str, Any]]) -> list[str]:
    resident = next(row for row in rows if row["percent"] == 100)
    everything = resident["budget_ours"]
    pinned = next((row["pinned_bytes_per_second"] for row in rows if row["pinned_bytes_per_second"]), 0)
    body: list[list[object]] = []
    for row in rows:
        streamed = everything - row["budget_ours"]
        if streamed > 0:
            speed = {key: streamed / (row[key] * 1e-6) / 1e9 for key in ("floor_us", "callers_stream_us")}
            body.append(
                [
                    f"{row['percent']} %",
                    f"{streamed / 1e6:.0f}",
                    f"{speed['floor_us']:.1f}",
                    f"{speed['callers_stream_us']:.1f}",
                    f"{row['floor_us'] / row['callers_stream_us']:.3f}",
                    f"{speed['callers_stream_us'] * 1e9 / pinned:.2f}" if pinned else "not measured",
                ]
            )
    head = ["resident", "streamed MB a call", "GB/s, floor", "GB/s, ours", "ours / floor", "of pinned copies"]
    return [f"Pinned copies to the device: {pinned / 1e9:.1f} GB/s.\n", *_table(head, body)]


def _answers(section: dict[str, Any]) -> list[str]:
    head = ["plan", "resident", "budget MB", "largest difference", "cosine"]
    return _table(
        head,
        [
            [
                name,
                f"{row['percent']} %",
                f"{row['budget'] / 1e6:.1f}",
                f"{row['largest_difference']:.4g}",
                f"{row['cosine']:.6f}",
            ]
            for name, rows in section.items()
            for row in rows
        ],
    )


def _towers(rows: list[dict[str, Any]]) -> list[str]:
    head = ["asked", "source", "budgets, bytes", "together", "of streamable", "largest difference"]
    body: list[list[object]] = []
    for row in rows:
        budgets = ", ".join(f"{name} {size}" for name, size in row["budgets"].items())
        together = sum(row["budgets"].values())
        body.append(
            [row["asked"], row["source"], budgets, together, row["streamable"], f"{row['largest_difference']:g}"]
        )
    return _table(head, body)


def _minilm(section: dict[str, Any]) -> list[str]:
    if "skipped" in section:
        return [f"Skipped: {section['skipped']}"]
    rows = []
    for how in ("runner", "python"):
        if isinstance(section[how], dict):
            rows += [[how, f"{word}: {why}", "", "", "", ""] for word, why in section[how].items()]
            continue
        rows += [
            [how, row["asked"], row["source"], f"{row['budget'] / 1e6:.1f}", f"{row['ms']:.3f}", f"{row['cosine']:.6f}"]
            for row in section[how]
        ]
    return _table(["through", "asked", "source", "budget MB", "ms a call, host I/O", "cosine with eager"], rows)


def _decoder(section: Any) -> list[str]:
    if isinstance(section, dict):
        return [f"Skipped: {section['skipped']}"]
    return _table(decoder.HEAD, decoder.rows(section))


def _commands(section: dict[str, Any]) -> list[str]:
    lines = []
    for name, found in section.items():
        drawn = ", ".join(found["drawn"])
        lines.append(
            f"{name}: {len(found['bench']['totals'])} totals in {found['bench']['seconds']:.0f} s ({drawn}). Predicted "
            f"latency is off by {found['median_error']:.1%} (median), {found['largest_error']:.1%} (largest).\n"
        )
        rows = [
            [
                row["budget"],
                f"{sum(row['budgets'].values()) / 1e6:.1f}",
                f"{row['ms']:.3f}",
                f"{row['predicted_ms']:.3f}",
            ]
            for row in found["held_out"]
        ]
        lines += [*_table(["budget", "MB kept", "ms a call", "ms predicted"], rows), ""]
    return lines[:-1]


def _refit(section: dict[str, Any]) -> list[str]:
    rows, built = [], []
    for name, case in section.items():
        loads = case["loads"]
        for how, found in loads.items():
            if not isinstance(found, dict) or how.endswith("_first"):
                continue
            plan = loads["full_bytes" if how.startswith("full") else "stripped_bytes"]
            times = [f"{found['seconds'] * 1e3:.1f}", f"{loads['weights_bytes'] / found['seconds'] / 1e9:.1f}"]
            rows.append(
                [name, how.replace("_", ", "), f"{plan / 1e6:.2f}", *times, f"{found['host_peak_bytes'] / 1e6:.0f}"]
            )
        if seconds := case.get("build_seconds"):
            saved = 100 * (1 - loads["stripped_bytes"] / loads["full_bytes"])
            built.append(
                f"{name}: built in {seconds['full']:.1f} s, without its weights in {seconds['stripped']:.1f} s and "
                f"{saved:.2f} % smaller; {loads['weights_bytes'] / 1e6:.0f} MB of weights."
            )
    passed = ", ".join(f"{name}: {case['passed']} tests passed" for name, case in section.items())
    lines = _table(["plan", "load of", "plan MB", "ms", "GB/s of weights", "host peak MB"], rows)
    return [*lines, "", f"Answers are those of the whole plan to the bit at 100, 50 and 0 % ({passed}).", *built]


def _separate(section: dict[str, Any]) -> list[str]:
    if "skipped" in section:
        return [f"Skipped: {section['skipped']}"]
    head = ["program", "its MB", "whole MB", *next(iter(section.values()))["loads"], "to the bit at"]
    rows = []
    for name, row in section.items():
        times = [f"{load['seconds'] * 1e3:.0f} ms" for load in row["loads"].values()]
        equal = ", ".join(budget for budget, same in row["equal"].items() if same)
        rows.append([name, f"{row['program_bytes'] / 1e6:.2f}", f"{row['whole_bytes'] / 1e6:.2f}", *times, equal])
    return _table(head, rows)


def _separate_save(section: dict[str, Any]) -> list[str]:
    if "skipped" in section:
        return [f"Skipped: {section['skipped']}"]
    lines = _table(["file", "MB"], [[name, f"{size / 1e6:.1f}"] for name, size in section["bytes"].items()])
    took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in section["seconds"].items())
    equal = ", ".join(budget for budget, same in section["equal"].items() if same)
    merged = "the same" if section["merged_equal"] else "another"
    said = f"The same logits to the bit at {equal}; {merged} from the merged program; cosine with eager"
    return [*lines, "", f"{took}. {said} {section['cosine']:.6f}."]


def _quantized(section: dict[str, Any]) -> list[str]:
    if "skipped" in section:
        return [f"Skipped: {section['skipped']}"]
    budgets = [each["budget"] for each in next(iter(section.values()))["budgets"]]
    head = ["weights", "file MB", *(f"ms at {budget}" for budget in budgets)]
    head += [*(f"device MB at {budget}" for budget in budgets), "error, of the largest output", "equal at all"]
    rows: list[list[object]] = []
    for name, row in section.items():
        times = [f"{each['milliseconds']:.2f}" for each in row["budgets"]]
        sizes = [f"{each['device_bytes'] / 1e6:.1f}" for each in row["budgets"]]
        error = f"{row['largest_error'] / row['largest_output']:.1e}"
        equal = "yes" if row["equal_at_all_budgets"] else "no"
        rows.append([name, f"{row['file_bytes'] / 1e6:.1f}", *times, *sizes, error, equal])
    return _table(head, rows)


def _smollm2(section: Any) -> list[str]:
    if isinstance(section, dict):
        return [f"Skipped: {section['skipped']}"]
    head = ["budget", "MB of weights kept, of", "device MB", "tokens a second", "cosine with eager fp32", "same text"]
    return _table(
        head,
        [
            [
                row["budget"],
                f"{row['budget_bytes'] / 1e6:.0f}, {row['streamable_bytes'] / 1e6:.0f}",
                f"{row['device_bytes'] / 1e6:.0f}",
                f"{row['tokens_per_second']:.0f}",
                f"{row['cosine']:.6f}",
                "yes" if row["same_text"] else f"no, from token {row['same_tokens']} on",
            ]
            for row in section
        ],
    )


def _python_calls(section: dict[str, float]) -> list[str]:
    floor = next(value for name, value in section.items() if name.startswith("C++"))
    rows: list[list[object]] = [[name, f"{value:.1f}", f"{value - floor:+.1f}"] for name, value in section.items()]
    return _table(["call", "us", "over the C++ call"], rows)


def _broken_captures(rows: list[dict[str, Any]]) -> list[str]:
    head = ["graphs", "the other thread", "exit code", "captures", "broken", "plain calls that failed after"]
    keys = ("captures", "broken", "failed_after")
    return _table(
        head, [[row["graphs"], row["other"], row["exit"], *(row.get(key, "") for key in keys)] for row in rows]
    )


def _outcome(label: object, outcome: dict[str, Any]) -> list[object]:
    if "budget" in outcome:
        result = f"{outcome['budget'] / MIB:.1f} MiB, {'ran' if outcome['ran'] else 'WRONG RESULT'}"
        return [label, result, outcome["source"], outcome["device_not_given_back"]]
    return [label, f"{outcome['error']}: {outcome['message']}", "", outcome["device_not_given_back"]]


def _outcomes(section: dict[str, Any]) -> list[str]:
    head = ["given", "result", "source", "bytes not given back"]
    return _table(head, [_outcome(label, outcome) for label, outcome in section.items()])


def _full(section: dict[str, Any]) -> list[str]:
    head = ["MiB free, asked", "result", "source", "bytes not given back"]
    rows = []
    for outcomes in section.values():
        free = f"{outcomes['free'] / MIB:.0f}"
        rows += [
            _outcome(f"{free}, {how.replace('_', ' ')}", outcomes[how])
            for how in ("automatic", "all_weights", "nothing")
        ]
    return _table(head, rows)


def _kept(engines: list[dict[str, Any]]) -> str:
    """Weights kept and the time of a call, engine by engine, largest first."""
    ordered = sorted(engines, key=lambda engine: -engine["streamable"])
    return ", ".join(
        f"{engine['budget'] / MIB:.0f} of {engine['streamable'] / MIB:.0f} ({engine['us'] / 1e3:.2f})"
        for engine in ordered
    )


def _floor_engine(engine: dict[str, Any]) -> str:
    if "failed" in engine:
        return f"no room for its {engine['failed']}"
    return f"{engine['budget'] / MIB:.0f} of {engine['streamable'] / MIB:.0f} ({engine['us']['p50'] / 1e3:.2f})"


def _split(rows: list[dict[str, Any]]) -> list[str]:
    body: list[list[object]] = []
    for row in rows:
        ours = ["; ".join(row[how]["failed"]) or _kept(row[how]["engines"]) for how in ("ours", "ours_reversed")]
        floor = ", ".join(map(_floor_engine, row["floor"]["engines"]))
        left = row["ours"]["left"] / MIB
        body.append([row["program"], f"{row['factor']:g}x", f"{row['free'] / MIB:.0f}", *ours, f"{left:.0f}", floor])
    return [
        "MiB of weights kept of those there are (ms a call). Ours: nothing given, two loading orders, host tensors. "
        "Floor: bare TensorRT in the first order, each engine with TensorRT's own automatic budget, device tensors.\n",
        *_table(
            ["engines", "free, of weights", "MiB free", "ours", "ours, reversed", "ours: MiB left", "floor, in order"],
            body,
        ),
    ]


def _copies(section: dict[str, Any]) -> list[str]:
    body: list[list[object]] = []
    for copies, (shared, apart) in enumerate(zip(section["shared"], section["apart"], strict=True), start=1):
        sizes = [f"{row[key] / 1e6:.0f}" for key in ("device", "host") for row in (shared, apart)]
        body.append([copies, *sizes, *(f"{row['load_seconds']:.2f}" for row in (shared, apart))])
    head = ["loads", "device MB, shared", "apart", "host MB, shared", "apart", "seconds of the last, shared", "apart"]
    return _table(head, body)


def _activation(rows: list[dict[str, Any]]) -> list[str]:
    body: list[list[object]] = []
    for row in rows:
        memory = [f"{row[how]['device'] / 1e6:.0f}" for how in ("block", "apart")]
        times = [", ".join(f"{each['us'] / 1e3:.2f}" for each in row[how]["engines"]) for how in ("block", "apart")]
        body.append([f"{row['percent']} %", *memory, *times])
    names = ", ".join(each["method"] for each in rows[0]["block"]["engines"])
    head = ["resident", "device MB, one block", "apart", f"ms a call, one block: {names}", "apart"]
    return _table(head, body)


def _changes(section: dict[str, Any], floor: dict[str, Any] | None = None) -> list[str]:
    facts = (
        f"{section['changes']} changes, {section['runs']} runs meanwhile: {section['failed']} failed, "
        f"{section['wrong']} wrong. Growth over the last nine tenths of the changes: "
        f"{section['device_growth_after_a_tenth'] / MIB:.1f} MiB of the device, "
        f"{section['host_growth_after_a_tenth'] / MIB:.1f} MiB of the host."
    )
    if floor is not None:
        facts += (
            f" Bare TensorRT, as many changes with a context made, run once and destroyed: "
            f"{floor['device_growth_bytes'] / MIB:.1f} MiB and {floor['host_growth_bytes'] / MIB:.1f} MiB."
        )
    rows: list[list[object]] = [
        [f"{row['budget'] / 1e6:.1f}", f"{row['fresh'] / 1e6:.1f}", f"{row['changed'] / 1e6:.1f}"]
        for row in section["memory"]
    ]
    return [facts + "\n", *_table(["budget MB", "device MB, fresh load", "device MB, after a change"], rows)]


def _verify(section: dict[str, Any]) -> list[str]:
    rows: list[list[object]] = []
    for percent, by_how in section["load_seconds"].items():
        medians = {how: statistics.median(values) for how, values in by_how.items()}
        spans = [f"{medians[how]:.3f} ({min(values):.3f} to {max(values):.3f})" for how, values in by_how.items()]
        rows.append([f"{percent} %", *spans, f"{medians['checksum'] / medians['off']:.3f}"])
    rows.append(
        ["one bit changed", *("refused" if row["exit"] else "loaded" for row in section["damaged"].values()), ""]
    )
    return _table(["resident", "off, s", "checksum, s", "digest, s", "checksum / off"], rows)


def _large(section: dict[str, Any]) -> list[str]:
    if "skipped" in section:
        return [section["skipped"]]
    body: list[list[object]] = []
    for row in section["rows"]:
        least = {how: min(each["load_seconds"] for each in found) for how, found in row["samples"].items()}
        for how, found in row["samples"].items():
            peak = statistics.median(each["host_peak_over_before_bytes"] for each in found)
            spans = " ".join(f"{each['load_seconds']:.2f}" for each in found)
            body.append(
                [
                    f"{row['percent']} %",
                    how,
                    f"{least[how]:.2f}",
                    f"{least[how] / least['floor']:.2f}",
                    spans,
                    f"{section['bytes'] / least[how] / 1e9:.1f}",
                    f"{peak / 1e6:.0f}",
                ]
            )
    facts = f"{section['bytes'] / 1e6:.0f} MB of plan. Outputs against numpy: " + ", ".join(
        f"cosine {row['cosine']:.6f} at {row['percent']} %" for row in section["answers"]
    )
    head = ["resident", "load", "s", "of floor", "each", "GB/s", "host peak over before MB"]
    return [facts + "\n", *_table(head, body)]


def _runtime_cache(section: dict[str, Any]) -> list[str]:
    if "skipped" in section:
        return [section["skipped"]]
    body: list[list[object]] = []
    for name, rows in section.items():
        for row in rows:
            seconds = {
                key: {how: statistics.median(sample[key] for sample in found) for how, found in row["samples"].items()}
                for key in ("context_seconds", "load_seconds")
            }
            context, load = seconds["context_seconds"], seconds["load_seconds"]
            body.append(
                [
                    name,
                    f"{row['percent']} %",
                    *(f"{context[how] * 1e3:.1f}" for how in ("off", "first", "second")),
                    f"{context['second'] / context['first']:.3f}",
                    *(f"{load[how]:.3f}" for how in ("off", "first", "second")),
                    f"{row['samples']['second'][0]['cache_bytes'] / 1e3:.1f}",
                ]
            )
    head = ["plan", "resident", "context: off, ms", "first, ms", "second, ms", "second / first"]
    return _table([*head, "load: off, s", "first, s", "second, s", "cache kB"], body)


# What Torch-TensorRT says of its own delegate (cpp/src/torch_tensorrt/executorch/README.md at 0154994): "24 probes that
# change one value inside the engine: 12 were refused, 12 were accepted, and 8 of those returned a wrong answer". Not
# measured here, nor with this plan.
QUOTED = ("Torch-TensorRT's delegate (quoted from its README)", 24, {"refused": 12, "right": 4, "wrong": 8})


def _probes(section: dict[str, Any]) -> list[str]:
    outcomes = ("refused", "right", "wrong", "crash")
    rows: list[list[object]] = [
        [f"`verify={verify}`", len(found), *(found.count(outcome) for outcome in outcomes)]
        for verify, found in section["probes"].items()
    ]
    who, probes, counts = QUOTED
    rows.append([who, probes, *(counts.get(outcome, "not said") for outcome in outcomes)])
    return _table(["delegate", "probes", *outcomes], rows)


def _contexts(section: dict[str, Any]) -> list[str]:
    body: list[list[object]] = []
    for name, rows in section.items():
        alone = {row["percent"]: row["calls_per_second"] for row in rows if row["contexts"] == 1}
        body += [
            [
                name,
                f"{row['percent']} %",
                row["contexts"],
                f"{row['calls_per_second']:.0f}",
                f"{row['calls_per_second'] / alone[row['percent']]:.2f}",
                f"{row['device'] / 1e6:.0f}",
                row["wrong"],
            ]
            for row in rows
        ]
    return _table(["program", "resident", "contexts", "calls/s", "of one's", "device MB", "wrong"], body)


def _arbiter(section: dict[str, Any]) -> list[str]:
    body: list[list[object]] = []
    for label, scene in section.items():
        for rows in zip(*(life["steps"] for life in scene["lives"]), strict=True):
            first = rows[0]
            kept = ", ".join(f"{each['budget'] / 1e6:.0f} ({each['source']})" for each in first["engines"])
            asleep = all(each["asleep"] for each in first["engines"])
            ran = "refuse to run" if asleep else "right" if all(all(row["right"]) for row in rows) else "WRONG"
            name = f"make_room, {scene['room'] / 1e6:.0f} MB" if first["step"] == "make_room" else first["step"]
            body.append(
                [
                    label,
                    name,
                    f"{statistics.median(row['ms'] for row in rows):.1f}",
                    f"{statistics.median(row['freed'] for row in rows) / 1e6:.0f}",
                    f"{statistics.median(row['device'] for row in rows) / 1e6:.0f}",
                    kept,
                    first.get("failed", ran),
                ]
            )
    head = ["program", "step", "ms", "MB freed", "device MB after", "weights kept, MB", "outputs"]
    return _table(head, body)


def _acceptance(section: dict[str, Any]) -> list[str]:
    rows = []
    for how, result in section.items():
        if "exit" not in result:
            rows.append([how, result["skipped"], "", "", ""])
            continue
        failed = ", ".join(result["failed"]) or "none"
        rows.append([how, result["passed"], result["skipped"], failed, result.get("summary", "")])
    return _table(["run", "passed", "skipped", "failed", "sanitizer"], rows)

"""A streamed model on many GPUs, simulated from what was measured on one: cost, routing, replicas, cold starts.

    pip install simpy==4.1.2 matplotlib
    python -m benchmarks.cluster [--report bench.json] [--gpus 24 24 48 80:link=0.5] [--rates 5 50] [--out FOLDER]

From the root of the repository. The model is the decoder of `benchmarks/results/decoder-h200-8b.json`, or a program of
yours: `torchtrt-ws bench m.pte --json > bench.json`. What was not measured is a flag. The same flags give the same
files: cluster.md, cluster.json and three pictures. It takes a minute of a processor, and more if calls take few
milliseconds, since each request is run: shorten --low-seconds and --high-seconds then.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from benchmarks.cluster.cold_start import ColdStart, Rates, cold_starts
from benchmarks.cluster.flags import arguments, assumptions
from benchmarks.cluster.served import decoder, from_bench, plan

LOADS = """\
Loads are as measured: the first of a process, at 0 %, and the quickest of its later ones, with an automatic budget.
These find CUDA started and the file in memory; what else makes them quicker was not taken apart."""
SWEEP = (0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)  # seconds of a cold start


def answer(given: argparse.Namespace) -> dict[str, Any]:
    """All questions.

    Args:
        given: The flags.
    """
    from benchmarks.cluster import ask_cold_starts, ask_cost, ask_routing
    from benchmarks.cluster.autoscaling import Autoscaler

    served = decoder() if given.report is None else from_bench(given.report)
    batch = min(served.points)
    common = {"count": given.requests, "limit": given.limit, "seed": given.seed}
    services = [gpu.run(served, batch, given.models) for gpu in given.gpus]
    print("cost", file=sys.stderr)
    cost = ask_cost.costs(served, given.cards, given.rates, given.deadline, **common)
    print("routing and replicas", file=sys.stderr)
    routing = ask_routing.routing(services, **common)
    service = served.at_percent(given.percent, batch)
    replicas = ask_routing.replicas(service, **common)
    print("cold starts", file=sys.stderr)
    rates = Rates(given.image_bytes, given.network, given.network, given.disk, given.start_seconds)
    starts = cold_starts(served, service, rates)
    scaler = Autoscaler(
        target_ongoing=given.target_ongoing,
        upscale_delay=given.upscale_delay,
        downscale_delay=given.downscale_delay,
        most=given.most,
    )
    load = ask_cold_starts.Load(given.low, given.high, given.low_seconds, given.high_seconds, given.repeats, given.seed)
    cases = [("a loaded replica that waits", 0.0), *((each.found, each.ready) for each in starts)]
    rest = (service, load, scaler, given.deadline, given.limit)
    sweep = [
        {"upscale_delay": delay, **row}
        for delay in dict.fromkeys((given.upscale_delay, 0.0))
        for row in ask_cold_starts.cold_start_costs(
            [("", each) for each in SWEEP],
            service,
            load,
            replace(scaler, upscale_delay=delay),
            given.deadline,
            given.limit,
        )[:-1]
    ]
    other = plan()
    return {
        "model": served.name,
        "source": served.source,
        "assumptions": assumptions(given),
        "deadline_seconds": given.deadline,
        "seed": given.seed,
        "requests": given.requests,
        "models": given.models,
        "cards": [asdict(each) for each in given.cards],
        "cost": cost,
        "gpus": [
            {"gpu": gpu.name, "resident": each.resident, "ms": each.milliseconds, **asdict(gpu)}
            for gpu, each in zip(given.gpus, services, strict=True)
        ],
        "routing": routing,
        "replicas_percent": given.percent,
        "replicas": replicas,
        "cold_starts": _told(starts),
        "scaled": {
            "percent": given.percent,
            "ms": service.milliseconds,
            "low": given.low * service.requests_per_second,
            "high": given.high * service.requests_per_second,
            "low_seconds": given.low_seconds,
            "high_seconds": given.high_seconds,
            "repeats": given.repeats,
            "least": scaler.least,
            "most": scaler.most,
            "upscale_delay": scaler.upscale_delay,
        },
        "loads": LOADS if given.report is None else "The load is the one that `torchtrt-ws bench` measured.",
        "plan": other.name,
        "plan_cold_starts": _told(cold_starts(other, other.at_percent(50, 1), rates)),
        "autoscaling": ask_cold_starts.cold_start_costs(cases, *rest),
        "autoscaling_sweep": sweep,
    }


def _told(starts: Sequence[ColdStart]) -> list[dict[str, Any]]:
    return [{**asdict(each), "ready": each.ready, "first_answer": each.first_answer} for each in starts]


def main() -> None:
    given = arguments(sys.argv[1:], __doc__)
    try:
        from benchmarks.cluster.plots import draw
        from benchmarks.cluster.report import markdown

        answers = answer(given)
    except ModuleNotFoundError as error:
        if error.name not in ("simpy", "matplotlib"):
            raise
        raise SystemExit(f"found no {error.name}; pip install simpy==4.1.2 matplotlib") from None
    answers = {"command": shlex.join(["python", "-m", "benchmarks.cluster", *sys.argv[1:]]), **answers}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "cluster.json").write_text(json.dumps(answers, indent=1) + "\n")
    (given.out / "cluster.md").write_text(markdown(answers))
    draw(answers, given.out)
    print(markdown(answers))


if __name__ == "__main__":
    main()

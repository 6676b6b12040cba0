"""A streamed model on many GPUs, simulated from what was measured on one: cost, routing, replicas, cold starts.

    pip install simpy==4.1.2 matplotlib
    python -m benchmarks.cluster [--report bench.json] [--gpus 24 24 48 80:link=0.5] [--rates 5 50] [--out FOLDER]

From the root of the repository. The model is the decoder of `benchmarks/results/decoder-h200-8b.json`, or a program of
yours: `torchtrt-ws bench m.pte --json > bench.json`. What was not measured is a flag. The same flags give the same
files: cluster.md, cluster.json and three pictures. A minute on one processor,
and more if calls take few milliseconds, since each request is run: shorten --low-seconds and --high-seconds then.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.cluster.cold_start import ColdStart, Rates, cold_starts
from benchmarks.cluster.gpus import Gpu
from benchmarks.cluster.served import decoder, from_bench, plan

ROOT = Path(__file__).resolve().parents[2]
LOADS = """\
Loads are as measured: the first of a process, at 0 %, and the quickest of its later ones, with an automatic budget.
These find CUDA started and the file in memory; what else makes them quicker was not taken apart."""
SWEEP = (0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)  # seconds of a cold start


def positive(text: str) -> float:
    """A number above 0, as argparse takes it.

    Args:
        text: What was given.

    Raises:
        ValueError: Another one, or none.
    """
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value


def whole(text: str) -> int:
    """A whole number above 0, as argparse takes it.

    Args:
        text: What was given.

    Raises:
        ValueError: Another one, or none.
    """
    return int(positive(str(int(text))))


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """The flags.

    Args:
        words: What follows the name of the program.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--report", type=Path, help="what `torchtrt-ws bench m.pte --json` printed; default: the decoder of 8B")
    add("--seed", type=int, default=1)
    add("--requests", type=whole, default=20_000, help="of each run (default: %(default)s)")
    add("--deadline", type=positive, default=1.0, help="seconds (default: %(default)s)")
    add("--limit", type=whole, default=32, help="requests that may wait or run at a replica (default: %(default)s)")
    gpu = "GB[:price=1][:link=1][:compute=1], the last two in parts of the measured GPU's"
    add("--gpus", type=Gpu.parse, nargs="+", default=["24", "24", "48", "80"], help=f"of the routing: {gpu}")
    add("--models", type=whole, default=4, help="models that share each of these GPUs (default: %(default)s)")
    add("--cards", type=Gpu.parse, nargs="+", default=["8", "12", "16", "24"], help=f"of the cost: {gpu}")
    add("--rates", type=positive, nargs="+", default=[1, 5, 20, 50, 200, 500], help="requests a second, of the cost")
    cold = parser.add_argument_group("cold starts")
    cold.add_argument(
        "--percent",
        type=int,
        default=50,
        choices=range(101),
        metavar="PERCENT",
        help="resident weights of a replica (default: %(default)s)",
    )
    cold.add_argument("--image-bytes", type=positive, default=0.7e9)
    cold.add_argument("--network", type=positive, default=1.25e9, help="bytes a second (default: %(default)g)")
    cold.add_argument("--disk", type=positive, help="bytes a second; default: the program is in the page cache")
    cold.add_argument("--start-seconds", type=float, default=0.0, help="scheduling, container, process")
    cold.add_argument("--low", type=positive, default=1.2, help="replicas that the low rate keeps busy")
    cold.add_argument("--high", type=positive, default=5.0, help="the same of the high rate")
    cold.add_argument("--low-seconds", type=positive, default=2400.0, help="how long the low rate lasts")
    cold.add_argument("--high-seconds", type=positive, default=600.0, help="and the high one")
    cold.add_argument("--repeats", type=whole, default=6)
    cold.add_argument("--most", type=whole, default=7, help="replicas (default: %(default)s)")
    cold.add_argument("--target-ongoing", type=positive, default=1.0, help="requests for each replica")
    cold.add_argument("--upscale-delay", type=float, default=30.0, help="seconds")
    cold.add_argument("--downscale-delay", type=float, default=600.0, help="seconds")
    add("--out", type=Path, default=ROOT / "benchmarks" / "results")
    found = parser.parse_args(words)
    for name in ("gpus", "cards"):
        setattr(found, name, [Gpu.parse(each) if isinstance(each, str) else each for each in getattr(found, name)])
    return found


def assumptions(given: argparse.Namespace) -> list[dict[str, str]]:
    """What was not measured, with the reason for the default.

    Args:
        given: The flags.
    """
    rows = (
        ("a GPU's hour", "see the tables", "--cards GB:price=P", "1 for each: no price is known here"),
        ("other GPUs' link and computing", "see the tables", "link=, compute=", "1: as the measured GPU"),
        ("container image", f"{given.image_bytes / 1e9:g} GB", "--image-bytes", "what an install takes (README)"),
        ("network", f"{given.network / 1e9:g} GB/s", "--network", "nominal, of 10 Gbit/s"),
        ("disk", "page cache" if given.disk is None else f"{given.disk / 1e9:g} GB/s", "--disk", "as it was measured"),
        ("scheduling, container, process", f"{given.start_seconds:g} s", "--start-seconds", "left out"),
        ("requests that may wait at a replica", str(given.limit), "--limit", "a choice"),
        ("deadline", f"{given.deadline:g} s", "--deadline", "a choice"),
        (
            "requests for each replica",
            f"{given.target_ongoing:g}",
            "--target-ongoing",
            "a call at a time; Ray Serve has 2",
        ),
        ("delay before more replicas", f"{given.upscale_delay:g} s", "--upscale-delay", "Ray Serve's default"),
        ("delay before fewer", f"{given.downscale_delay:g} s", "--downscale-delay", "Ray Serve's default"),
    )
    return [dict(zip(("what", "value", "flag", "why"), row, strict=True)) for row in rows]


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
    given = arguments(sys.argv[1:])
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

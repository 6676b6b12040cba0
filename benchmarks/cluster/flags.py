"""The flags of `python -m benchmarks.cluster`, and which of them stand for what nobody measured."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cluster.gpus import Gpu

ROOT = Path(__file__).resolve().parents[2]


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


def not_negative(text: str) -> float:
    """The same, or 0.

    Args:
        text: What was given.

    Raises:
        ValueError: Another one, or none.
    """
    return 0.0 if float(text) == 0 else positive(text)


def whole(text: str) -> int:
    """A whole number above 0, as argparse takes it.

    Args:
        text: What was given.

    Raises:
        ValueError: Another one, or none.
    """
    return int(positive(str(int(text))))


def arguments(words: Sequence[str], description: str | None = None) -> argparse.Namespace:
    """Reads the flags. What is wrong with them is said, and the program ends.

    Args:
        words: What follows the name of the program.
        description: What `--help` says first.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cluster",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
    cold.add_argument("--start-seconds", type=not_negative, default=0.0, help="scheduling, container, process")
    cold.add_argument("--low", type=positive, default=1.2, help="replicas that the low rate keeps busy")
    cold.add_argument("--high", type=positive, default=5.0, help="the same of the high rate")
    cold.add_argument("--low-seconds", type=positive, default=2400.0, help="how long the low rate lasts")
    cold.add_argument("--high-seconds", type=positive, default=600.0, help="and the high one")
    cold.add_argument("--repeats", type=whole, default=6)
    cold.add_argument("--most", type=whole, default=7, help="replicas (default: %(default)s)")
    cold.add_argument("--target-ongoing", type=positive, default=1.0, help="requests for each replica")
    cold.add_argument("--upscale-delay", type=not_negative, default=30.0, help="seconds")
    cold.add_argument("--downscale-delay", type=not_negative, default=600.0, help="seconds")
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

"""`torchtrt-ws serve`: a .pte over HTTP, on this machine, until Ctrl-C."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["serve"]


def serve(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The .pte.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What clients call the model; without, the file's name.")
    ] = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help="Without: forward, or the only one.")] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            "--weight-streaming-budget",
            metavar="B",
            help='Of each replica: bytes, "1GiB", "50%", "free-1GiB", "auto".',
        ),
    ] = None,
    margin: Annotated[str | None, typer.Option(metavar="SIZE", help="What automatic budgets leave free.")] = None,
    headroom: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Device memory to keep free, giving weights for it.")
    ] = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8000,
    replicas: Annotated[int, typer.Option(min=1, help="Processes, each with the program.")] = 1,
    gpus: Annotated[
        float | None, typer.Option(min=0, help="Of each replica. Without: one GPU for all, if the file needs one.")
    ] = None,
    contexts: Annotated[int, typer.Option(min=1, help="Calls at the same time in each, on one copy of weights.")] = 1,
    max_batch_size: Annotated[
        int, typer.Option(min=1, help="Rows of requests that go into one call, if rows are independent.")
    ] = 1,
    batch_wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for others although a call could begin.")
    ] = 0,
    max_queued: Annotated[
        int, typer.Option(min=1, help="Requests that wait for a replica; more are answered with 503.")
    ] = 64,
    admin: Annotated[bool, typer.Option("--admin", help="Let clients change the budget.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object when it is ready.")] = False,
) -> None:
    """Serve a .pte over HTTP (Open Inference Protocol) until Ctrl-C."""
    from torchtrt_ws import pte
    from torchtrt_ws import serve as serving
    from torchtrt_ws.identifiers import TENSORRT

    needs_gpu = any(engine.kind == TENSORRT for engine in pte.read(path).engines)
    model = path.stem if name is None else name
    settings = {
        "file": str(path.absolute()),
        "method": method,
        "budget": budget,
        "margin": margin,
        "headroom": headroom,
        "contexts": contexts,
        "max_batch_size": max_batch_size,
        "batch_wait_timeout_s": batch_wait,
        "num_replicas": replicas,
        "num_gpus": gpus if gpus is not None else 1 / replicas if needs_gpu else 0,
        "max_queued_requests": max_queued,
    }
    answer = sys.stdout
    with (
        redirect_stdout(sys.stderr),  # Ray prints there
        serving.start({"models": {model: settings}, "admin": admin}, host=host, port=port) as server,
    ):
        url = f"{server.url}/v2/models/{model}"
        # Whoever started it reads this to know that it is ready, perhaps through a pipe.
        print(json.dumps({"url": server.url, "model": model}) if as_json else url, file=answer, flush=True)
        server.wait()
    print("ended", file=sys.stderr)

"""Clients of a server that speaks the Open Inference Protocol over HTTP: they ask again once they are answered."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import numpy as np

Body = tuple[bytes, dict[str, str]]
"""Of a request, with the headers that belong to it."""

_DATATYPES = {"float16": "FP16", "float32": "FP32"}


def body(name: str, x: np.ndarray) -> Body:
    """A request with one input, its tensors in bytes."""
    parameters = {"binary_data_size": x.nbytes}
    tensor = {"name": name, "datatype": _DATATYPES[x.dtype.name], "shape": list(x.shape), "parameters": parameters}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return head + x.tobytes(), {"Inference-Header-Content-Length": str(len(head))}


async def load(url: str, request: Body, clients: int, seconds: float) -> dict[str, Any]:
    """What `clients` get in `seconds`. After a 503 they wait as it says; the first second does not count.

    Returns:
        `requests` that were answered with 200, and how many a second; median and 99th percentile of their seconds; how
        many had another status.
    """
    data, headers = request
    taken: list[float] = []
    others: dict[int, int] = {}
    begin = time.perf_counter() + 1
    end = begin + seconds

    async def client(session: aiohttp.ClientSession) -> None:
        while (started := time.perf_counter()) < end:
            async with session.post(url, data=data, headers=headers) as answer:
                await answer.read()
            ended = time.perf_counter()
            if begin <= ended <= end and answer.status == 200:
                taken.append(ended - started)
            elif begin <= ended <= end:
                others[answer.status] = others.get(answer.status, 0) + 1
            if answer.status != 200:
                await asyncio.sleep(float(answer.headers.get("Retry-After", 0)))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
    p50, p99 = np.percentile(taken or [float("nan")], [50, 99])
    return {
        "clients": clients,
        "requests": len(taken),
        "requests_per_second": len(taken) / seconds,
        "p50_seconds": float(p50),
        "p99_seconds": float(p99),
        "other_statuses": others,
    }


async def rows_and_calls(model: str) -> tuple[int, int]:
    """Of a model until now, by its URL."""
    async with aiohttp.ClientSession() as session, session.get(f"{model}/stats") as answer:
        (stats,) = (await answer.json())["model_stats"]
    return stats["inference_count"], stats["execution_count"]


def other_statuses(measured: dict[str, Any]) -> str:
    """Those of `load`, for a table."""
    return ", ".join(f"{count} x {status}" for status, count in measured["other_statuses"].items()) or "none"

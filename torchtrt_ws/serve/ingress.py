"""HTTP: the routes of the protocol, and which replicas they ask. A Ray Serve ingress; replicas are `replica.Replica`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError
from starlette.requests import Request
from starlette.responses import Response

from torchtrt_ws import __version__, budget
from torchtrt_ws.errors import WeightStreamingError
from torchtrt_ws.serve import protocol
from torchtrt_ws.serve.counters import summed
from torchtrt_ws.serve.metrics_page import MEDIA_TYPE, page
from torchtrt_ws.serve.statistics import statistics
from torchtrt_ws.serve.statuses import answered, failed, later

__all__ = ["Ingress", "http"]

_VERSION = "1"  # of every model: a program has no other ones here
_HEADER = "Inference-Header-Content-Length"
_EXTENSIONS = ["binary_tensor_data", "statistics", "model_repository", "weight_streaming_budget"]
_GONE = (RayActorError, ReplicaUnavailableError)  # the replica, with the request in it
_READY_S = 5.0  # what a replica has to answer that it is ready
_ADMIN_S = 300.0  # a change of budget waits for the calls in flight, and TensorRT may move all weights

http = FastAPI(title="torchtrt-ws", version=__version__)


class Ingress:
    """Reads requests, has a replica of the model answer them, and writes the answers.

    Args:
        models: Handle of the replicas by model name.
        asked: Handle of `AskedBudgets`.
        admin: Whether budgets may be changed.
        max_body_bytes: Of a request.
    """

    def __init__(self, models: Mapping[str, Any], asked: Any, admin: bool, max_body_bytes: int) -> None:
        self._models, self._asked = dict(models), asked
        self._admin, self._max_body_bytes = admin, max_body_bytes

    @http.get("/v2")
    async def server(self) -> Response:
        """The server's name, version and extensions."""
        return answered({"name": "torchtrt_ws", "version": __version__, "extensions": _EXTENSIONS})

    @http.get("/v2/health/live")
    async def live(self) -> Response:
        """200: HTTP is answered."""
        return answered({"live": True})

    @http.get("/v2/health/ready")
    async def all_ready(self) -> Response:
        """200: every model is ready; else 503."""
        found = await asyncio.gather(*map(self._is_ready, self._models.values()))
        return answered({"ready": all(found)}, 200 if all(found) else 503)

    @http.post("/v2/repository/index")
    async def index(self) -> Response:
        """The models, and whether they are ready."""
        found = await asyncio.gather(*map(self._is_ready, self._models.values()))
        states = zip(self._models, found, strict=True)
        return answered(
            [{"name": name, "version": _VERSION, "state": "READY" if ok else "UNAVAILABLE"} for name, ok in states]
        )

    @http.get("/v2/models/stats")
    async def all_statistics(self) -> Response:
        """Counts of all models."""
        return answered({"model_stats": [await self._statistics(name) for name in self._models]})

    @http.get("/v2/models/{name}")
    @http.get("/v2/models/{name}/versions/{version}")
    async def metadata(self, name: str, version: str = _VERSION) -> Response:
        """Inputs and outputs of a model."""
        if (missing := self._missing(name, version)) is not None:
            return missing
        try:
            found = await self._models[name].metadata.remote()
        except (*_GONE, BackPressureError, DeploymentUnavailableError) as error:
            return later(str(error))
        return answered({"name": name, "versions": [_VERSION], "platform": "executorch_torchtrt_ws", **found})

    @http.get("/v2/models/{name}/ready")
    @http.get("/v2/models/{name}/versions/{version}/ready")
    async def ready(self, name: str, version: str = _VERSION) -> Response:
        """200: a replica of the model answers, and its last call did not fail; else 503."""
        if (missing := self._missing(name, version)) is not None:
            return missing
        is_ready = await self._is_ready(self._models[name])
        return answered({"name": name, "ready": is_ready}, 200 if is_ready else 503)

    @http.get("/v2/models/{name}/stats")
    @http.get("/v2/models/{name}/versions/{version}/stats")
    async def model_statistics(self, name: str, version: str = _VERSION) -> Response:
        """Counts of a model, all replicas together."""
        if (missing := self._missing(name, version)) is not None:
            return missing
        return answered({"model_stats": [await self._statistics(name)]})

    @http.post("/v2/models/{name}/infer")
    @http.post("/v2/models/{name}/versions/{version}/infer")
    async def infer(self, name: str, request: Request, version: str = _VERSION) -> Response:
        """Runs a model."""
        if (missing := self._missing(name, version)) is not None:
            return missing
        try:
            asked = await self._decoded(request)
            if isinstance(asked, Response):
                return asked
            answer = await self._answer(self._models[name], asked.inputs)
            if isinstance(answer, WeightStreamingError):
                return failed(answer)
            body, header_bytes = protocol.encode(asked, name, _VERSION, answer)
        except WeightStreamingError as error:
            return failed(error)
        except BackPressureError:
            return later("too many requests wait for this model")
        except (*_GONE, DeploymentUnavailableError) as error:
            return later(f"no replica of {name}: {error!s:.200}")
        if header_bytes is None:
            return Response(body, media_type="application/json")
        return Response(body, media_type="application/octet-stream", headers={_HEADER: str(header_bytes)})

    @http.get("/v2/models/{name}/budget")
    async def budget(self, name: str) -> Response:
        """Budgets of a model's replicas and engines, in bytes."""
        if (missing := self._missing(name, _VERSION)) is not None:
            return missing
        return answered({"name": name, "replicas": await self._reports(name)})

    @http.post("/v2/models/{name}/budget")
    async def set_budget(self, name: str, request: Request) -> Response:
        """Changes the budget of all replicas of a model, or of none: `{"budget": "40%"}`."""
        if (missing := self._missing(name, _VERSION)) is not None:
            return missing
        if not self._admin:
            return failed("budgets cannot be changed here: serve with `admin: true`, or --admin", 403)
        body = await self._body(request)
        if isinstance(body, Response):
            return body
        try:
            given = json.loads(body)
            wanted = given.get("budget") if isinstance(given, dict) and set(given) == {"budget"} else None
        except (ValueError, RecursionError):
            wanted = None
        if wanted is None:
            return failed('the body: expected {"budget": B}, with B such as "40%", "2GiB", "auto" or bytes', 400)
        try:
            budget.parse(wanted, "budget")
        except WeightStreamingError as error:
            return failed(error)
        return await self._change(name, wanted)

    @http.get("/metrics")
    async def metrics(self) -> Response:
        """What all replicas count, for Prometheus."""
        found = {name: await self._broadcast(name, "metrics") for name in self._models}
        return Response(page(found), media_type=MEDIA_TYPE)

    def _missing(self, name: str, version: str) -> Response | None:
        if name not in self._models:
            return failed(f"model {name!r}: expected one of {', '.join(self._models)}", 404)
        return None if version == _VERSION else failed(f"version {version!r} of {name}: expected {_VERSION}", 404)

    async def _body(self, request: Request) -> bytes | Response:
        """The body, as long as it is not too long."""
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > self._max_body_bytes:
                return failed(f"the body: found more than {self._max_body_bytes} bytes", 413)
            parts.append(part)
        return b"".join(parts)

    async def _decoded(self, request: Request) -> protocol.InferRequest | Response:
        encoding = request.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            return failed(f"Content-Encoding {encoding!r}: expected none", 415)
        length = request.headers.get(_HEADER)
        if length is not None and not (length.isascii() and length.isdecimal() and len(length) < 16):
            return failed(f"{_HEADER}: found {length!r:.80}; expected a number of bytes", 400)
        body = await self._body(request)
        return body if isinstance(body, Response) else protocol.decode(body, None if length is None else int(length))

    async def _answer(self, handle: Any, tensors: Any) -> Any:
        """What a replica answers. Programs that keep no state may run a request twice, so one whose replica went is
        asked again, once: a request that kills replicas does not go on to kill them all."""
        try:
            return await handle.infer.remote(tensors)
        except _GONE:
            return await handle.infer.remote(tensors)

    async def _is_ready(self, handle: Any) -> bool:
        try:
            await asyncio.wait_for(_awaited(handle.check_health.remote()), _READY_S)
        except Exception:  # whatever a replica raises, or Ray for one that is not there
            return False
        return True

    async def _broadcast(self, name: str, method: str, *arguments: Any) -> list[Any]:
        response = self._models[name].broadcast(method, *arguments)
        found: list[Any] = await response.results_async(timeout_s=_ADMIN_S, return_exceptions=True)
        return found

    async def _reports(self, name: str) -> list[dict[str, Any]]:
        return [each for each in await self._broadcast(name, "report") if isinstance(each, dict)]

    async def _statistics(self, name: str) -> dict[str, Any]:
        return statistics(name, _VERSION, summed(each["counts"] for each in await self._reports(name)))

    async def _change(self, name: str, wanted: int | str) -> Response:
        configured = await self._models[name].configured.remote()
        found = await self._broadcast(name, "set_budget", wanted)
        # A replica that died meanwhile has no say: the one that takes its place reads the wish.
        errors = [each for each in found if isinstance(each, WeightStreamingError)]
        if errors:
            if len(errors) < len(found):
                await self._broadcast(name, "undo_budget")
            return failed(errors[0])
        await self._asked.ask.remote(name, configured, wanted)
        return answered({"name": name, "budget": wanted, "replicas": await self._reports(name)})


async def _awaited(response: Any) -> Any:
    return await response  # a response is awaitable, and no coroutine


def deployment() -> Any:
    """`Ingress` as what Ray Serve deploys."""
    return serve.deployment(serve.ingress(http)(Ingress))

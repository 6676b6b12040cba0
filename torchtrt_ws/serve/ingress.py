"""HTTP: the routes of the protocol, and which replicas they ask. A Ray Serve ingress before those of `replica`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from torchtrt_ws import __version__, budget
from torchtrt_ws.errors import WeightStreamingError
from torchtrt_ws.serve import protocol
from torchtrt_ws.serve.counters import summed
from torchtrt_ws.serve.metrics_page import MEDIA_TYPE, page
from torchtrt_ws.serve.statistics import statistics
from torchtrt_ws.serve.statuses import answered, failed, later

__all__ = ["Ingress", "deployment"]

_VERSION = "1"  # of every model: a program has no other ones here
_HEADER = "Inference-Header-Content-Length"
_EXTENSIONS = ["binary_tensor_data", "statistics", "model_repository", "generate_stream", "weight_streaming_budget"]
_GONE = (RayActorError, ReplicaUnavailableError)  # the replica, with the request in it
_READY_S = 5.0  # what a replica has to answer that it is ready
_ADMIN_S = 300.0  # a change of budget waits for the calls in flight, and TensorRT may move all weights


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

    def __serve_build_asgi_app__(self) -> Starlette:
        model = "/v2/models/{model}"
        own = [
            ("", self.metadata, "GET"),
            ("/ready", self.ready, "GET"),
            ("/stats", self.model_statistics, "GET"),
            ("/infer", self.infer, "POST"),
            ("/generate_stream", self.generate_stream, "POST"),
        ]
        return Starlette(
            routes=[
                Route("/v2", self.server),
                Route("/v2/health/live", self.live),
                Route("/v2/health/ready", self.all_ready),
                Route("/v2/repository/index", self.index, methods=["POST"]),
                Route("/v2/models/stats", self.all_statistics),
                *(
                    Route(base + path, end, methods=[verb])
                    for path, end, verb in own
                    for base in (model, model + "/versions/{version}")
                ),
                Route(model + "/budget", self.budget),
                Route(model + "/budget", self.set_budget, methods=["POST"]),
                Route("/metrics", self.metrics),
            ],
            exception_handlers=_HANDLERS,
        )

    async def server(self, request: Request) -> Response:
        """The server's name, version and extensions."""
        return answered({"name": "torchtrt_ws", "version": __version__, "extensions": _EXTENSIONS})

    async def live(self, request: Request) -> Response:
        """200: HTTP is answered."""
        return answered({"live": True})

    async def all_ready(self, request: Request) -> Response:
        """200: every model is ready; else 503."""
        found = await asyncio.gather(*map(self._is_ready, self._models.values()))
        return answered({"ready": all(found)}, 200 if all(found) else 503)

    async def index(self, request: Request) -> Response:
        """The models, and whether they are ready."""
        found = await asyncio.gather(*map(self._is_ready, self._models.values()))
        states = zip(self._models, found, strict=True)
        return answered(
            [{"name": name, "version": _VERSION, "state": "READY" if ok else "UNAVAILABLE"} for name, ok in states]
        )

    async def all_statistics(self, request: Request) -> Response:
        """Counts of all models."""
        return answered({"model_stats": [await self._statistics(name) for name in self._models]})

    async def metadata(self, request: Request) -> Response:
        """Inputs and outputs of a model."""
        name = self._named(request)
        if isinstance(name, Response):
            return name
        found = await self._models[name].metadata.remote()
        return answered({"name": name, "versions": [_VERSION], "platform": "executorch_torchtrt_ws", **found})

    async def ready(self, request: Request) -> Response:
        """200: a replica of the model answers, and its last call did not fail; else 503."""
        name = self._named(request)
        if isinstance(name, Response):
            return name
        is_ready = await self._is_ready(self._models[name])
        return answered({"name": name, "ready": is_ready}, 200 if is_ready else 503)

    async def model_statistics(self, request: Request) -> Response:
        """Counts of a model, all replicas together."""
        name = self._named(request)
        if isinstance(name, Response):
            return name
        return answered({"model_stats": [await self._statistics(name)]})

    async def infer(self, request: Request) -> Response:
        """Runs a model."""
        name = self._named(request)
        if isinstance(name, Response):
            return name
        asked = await self._decoded(request)
        if isinstance(asked, Response):
            return asked
        answer = await self._answer(self._models[name], asked.inputs)
        if isinstance(answer, WeightStreamingError):
            return failed(answer)
        body, header_bytes = protocol.encode(asked, name, _VERSION, answer)
        if header_bytes is None:
            return Response(body, media_type="application/json")
        return Response(body, media_type="application/octet-stream", headers={_HEADER: str(header_bytes)})

    async def generate_stream(self, request: Request) -> Response:
        """Continues a prompt, token for token, as server-sent events. What fails before the first token has a status;
        what fails later is an event with `error`."""
        name = self._named(request)
        if isinstance(name, Response):
            return name
        body = await self._body(request)
        if isinstance(body, Response):
            return body
        tokens = self._models[name].options(stream=True).generate.remote(protocol.decode_generate(body))
        first = await anext(tokens, None)
        if isinstance(first, WeightStreamingError):
            return failed(first)
        return StreamingResponse(_events(name, first, tokens), media_type="text/event-stream")

    async def budget(self, request: Request) -> Response:
        """Budgets of a model's replicas and engines, in bytes."""
        name = self._named(request)
        if isinstance(name, Response):
            return name
        return answered({"name": name, "replicas": await self._reports(name)})

    async def set_budget(self, request: Request) -> Response:
        """Changes the budget of all replicas of a model, or of none: `{"budget": "40%"}`."""
        name = self._named(request)
        if isinstance(name, Response):
            return name
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
        budget.parse(wanted, "budget")
        return await self._change(name, wanted)

    async def metrics(self, request: Request) -> Response:
        """What all replicas count, for Prometheus."""
        found = {name: await self._broadcast(name, "metrics") for name in self._models}
        return Response(page(found), media_type=MEDIA_TYPE)

    def _named(self, request: Request) -> str | Response:
        """The model that a request's path names; or that there is none."""
        name, version = request.path_params["model"], request.path_params.get("version", _VERSION)
        if name not in self._models:
            return failed(f"model {name!r}: expected one of {', '.join(self._models)}", 404)
        return name if version == _VERSION else failed(f"version {version!r} of {name}: expected {_VERSION}", 404)

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
        """What a replica answers. If it went, another one is asked, which is no harm where no state is kept; once, so
        that a request that kills replicas does not go on to kill them all."""
        try:
            return await handle.infer.remote(tensors)
        except _GONE:
            return await handle.infer.remote(tensors)

    async def _is_ready(self, handle: Any) -> bool:
        try:
            await asyncio.wait_for(_awaited(handle.ready.remote()), _READY_S)
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
        # First, so that a replica that looks meanwhile does not go back to the wish before.
        number = await self._asked.ask.remote(name, configured, wanted)
        found = await self._broadcast(name, "set_budget", wanted, number)
        # A replica that died meanwhile has no say: the one that takes its place reads the wish.
        errors = [each for each in found if isinstance(each, WeightStreamingError)]
        if errors:
            await self._asked.take_back.remote(name, number)
            if len(errors) < len(found):
                await self._broadcast(name, "undo_budget", number)
            return failed(errors[0])
        await self._asked.grant.remote(name, number)
        return answered({"name": name, "budget": wanted, "replicas": await self._reports(name)})


async def _awaited(response: Any) -> Any:
    return await response  # a response is awaitable, and no coroutine


async def _events(model: str, first: int | None, tokens: Any) -> AsyncIterator[str]:
    token: Any = first
    try:
        while token is not None:
            wrong = isinstance(token, WeightStreamingError)
            told = {"error": str(token)} if wrong else {"token_id": token}
            yield f"data: {json.dumps({'model_name': model, 'model_version': _VERSION, **told})}\n\n"
            token = None if wrong else await anext(tokens, None)
    except (*_GONE, DeploymentUnavailableError) as error:
        yield f"data: {json.dumps({'error': f'no replica: {error!s:.200}'})}\n\n"
    finally:
        tokens.cancel()  # the client may be gone; nothing to do where all came


async def _failed(request: Request, error: Exception) -> Response:
    return failed(error)


async def _full(request: Request, error: Exception) -> Response:
    return later("too many requests wait for this model")


async def _gone(request: Request, error: Exception) -> Response:
    return later(f"no replica: {error!s:.200}")


_HANDLERS = {
    WeightStreamingError: _failed,
    BackPressureError: _full,
    **dict.fromkeys((*_GONE, DeploymentUnavailableError), _gone),
}


def deployment() -> Any:
    """`Ingress` as what Ray Serve deploys."""
    return serve.deployment(serve.ingress()(Ingress))

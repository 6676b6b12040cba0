"""One process that runs a program: a Ray Serve replica. What it does with requests: `served_program`."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from ray import serve

from torchtrt_ws import memory, metrics
from torchtrt_ws.errors import WeightStreamingError
from torchtrt_ws.serve.asked_budgets import Budget
from torchtrt_ws.serve.batcher import Batcher
from torchtrt_ws.serve.batching import Tensors
from torchtrt_ws.serve.protocol import GenerateRequest
from torchtrt_ws.serve.served_program import Answer, Request, ServedProgram
from torchtrt_ws.serve.settings import ModelSettings

__all__ = ["Replica"]

_LOG = logging.getLogger("ray.serve")  # where an operator looks for what a replica says
_WISH_S = 2.0  # seconds; a look at the health must not wait for long


class Replica:
    """Loads a program and runs it. Ray Serve calls `reconfigure` with the user's config, and `check_health`.

    Args:
        settings: Of the model; the budget comes with the user's config.
        asked: Handle of `AskedBudgets`: an admin's last word, for replicas that start later.
        name: Of the model.
    """

    def __init__(self, settings: ModelSettings, asked: Any, name: str) -> None:
        self._settings, self._asked, self._name = settings, asked, name
        self._configured: Budget = None
        self._current: Budget = None
        self._previous: Budget = None  # before the last change, for its undoing
        self._number: int | None = None  # of the wish that was the last change
        self._stack = ExitStack()
        self._threads = ThreadPoolExecutor(settings.contexts, thread_name_prefix="infer")
        self._loaded: ServedProgram | None = None
        self._batcher: Batcher[Request, Answer]
        self._changing = asyncio.Lock()  # of the budget
        self._conversation = asyncio.Lock()  # of the one that the program's cache is for

    def _load(self, budget: Budget) -> ServedProgram:
        settings = self._settings
        program = ServedProgram(
            settings.file,
            method=settings.method,
            max_batch_size=settings.max_batch_size,
            cache_tokens=settings.cache_tokens,
            options={**settings.load_options, "weight_streaming_budget": budget},
        )
        self._stack.callback(program.close)
        if settings.headroom is not None:
            memory.headroom(settings.headroom)
            self._stack.enter_context(memory.following())
        return program

    @property
    def _program(self) -> ServedProgram:
        assert self._loaded is not None, "Ray Serve calls reconfigure first"
        return self._loaded

    async def _call(self, requests: Sequence[Request]) -> list[Answer]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._program.infer, requests)

    async def infer(self, tensors: Tensors) -> Answer:
        """Runs the program, together with other requests where they can be joined.

        Args:
            tensors: Inputs by name.

        Returns:
            Outputs by name, or what was wrong.
        """
        return await self._batcher.ask(Request(tensors, time.perf_counter_ns()))

    async def generate(self, asked: GenerateRequest) -> AsyncIterator[int | WeightStreamingError]:
        """Continues a prompt; one after the other.

        Args:
            asked: What a client asks.

        Yields:
            Token ids; or what was wrong, and then nothing more.
        """
        loop = asyncio.get_running_loop()
        async with self._conversation:
            tokens = self._program.generate(asked)
            try:
                while (token := await loop.run_in_executor(self._threads, next, tokens, None)) is not None:
                    yield token
            except WeightStreamingError as error:
                self._program.counters.refuse()
                yield error

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Loads the program, when Ray Serve starts the replica; later takes another budget, between calls.

        Args:
            user_config: `{"budget": ...}`. Not among the settings: a change of these is a new replica.

        Raises:
            WeightStreamingError: It does not load, or the budget does not fit: then it is as before.
        """
        configured = user_config.get("budget")
        budget = await self._wanted(configured)
        if self._loaded is None:
            self._loaded = await asyncio.to_thread(self._load, budget)
            self._current = budget
            self._batcher = Batcher(
                self._call,
                size=lambda request: self._program.rows(request.tensors),
                limit=self._loaded.limit or 1,
                wait=self._settings.batch_wait_timeout_s if self._loaded.limit else 0,
                concurrent=self._settings.contexts,
            )
        elif budget != self._current:
            # None again: no load has said what that was, and "auto" is what it is where nothing is baked.
            async with self._changing:
                await asyncio.to_thread(self._loaded.set_budget, "auto" if budget is None else budget)
                self._current, self._number = budget, None
        self._configured = configured

    async def _wanted(self, configured: Budget) -> Budget:
        """What an admin asked for last, else `configured`."""
        wish: Budget = await self._asked.wish.remote(self._name, configured)
        return configured if wish is None else wish

    async def set_budget(self, budget: int | str, number: int | None = None) -> WeightStreamingError | None:
        """Changes the budget, between calls.

        Args:
            budget: See `ServedProgram.set_budget`.
            number: For `undo_budget`.

        Returns:
            What was wrong, or None.
        """
        async with self._changing:
            try:
                await asyncio.to_thread(self._program.set_budget, budget)
            except WeightStreamingError as error:
                return error
            self._previous, self._current, self._number = self._current, budget, number
            return None

    async def undo_budget(self, number: int | None = None) -> None:
        """Takes the last `set_budget` back, if it changed something and was of that number.

        Args:
            number: What it was given. What was asked after it stays.
        """
        async with self._changing:
            if number == self._number:
                await asyncio.to_thread(self._program.undo_budget)
                self._current, self._number = self._previous, None

    async def configured(self) -> Budget:
        """The budget of the user's config."""
        return self._configured

    async def metadata(self) -> dict[str, Any]:
        """Inputs and outputs, as the protocol describes them."""
        return self._program.metadata

    async def report(self) -> dict[str, Any]:
        """What an admin sees: the replica's name and process, engines, counts, and rows of a call at most.

        `max_batch_size` is None where requests are not joined.
        """
        return {
            "replica": serve.get_replica_context().replica_id.unique_id,
            "pid": os.getpid(),
            "engines": await asyncio.to_thread(self._program.engines),
            "counts": self._program.counters.as_dict(),
            "max_batch_size": self._program.limit,
        }

    async def metrics(self) -> tuple[str, list[Any], dict[str, int]]:
        """The replica's name, metrics of its engines for `prometheus_client`, and its counts."""
        families = await asyncio.to_thread(lambda: list(metrics.collector().collect()))
        return serve.get_replica_context().replica_id.unique_id, families, self._program.counters.as_dict()

    async def ready(self) -> None:
        """Returns where the program works.

        Raises:
            WeightStreamingError: The last call failed, and one with zeros does too.
        """
        await asyncio.to_thread(self._program.check)

    async def check_health(self) -> None:
        """For Ray Serve, which replaces the replica when this raises.

        Also takes a wish that was made while this replica started, when nobody knew yet to pass it on here.

        Raises:
            WeightStreamingError: As `ready`.
        """
        await self.ready()
        try:
            wanted = await asyncio.wait_for(self._wanted(self._configured), _WISH_S)
        except Exception:  # whatever Ray raises for a process that is not there now: the next look will find it
            return
        if wanted is None or wanted == self._current:
            return
        if (error := await self.set_budget(wanted)) is not None:
            _LOG.warning("the budget that was asked for: %s", error)

    def __del__(self) -> None:
        stack = getattr(self, "_stack", None)
        if stack is not None:
            stack.close()

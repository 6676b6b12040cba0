"""One process that runs a program: a Ray Serve replica. What it does with requests: `served_program`."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

from ray import serve

from torchtrt_ws import memory, metrics
from torchtrt_ws.errors import WeightStreamingError
from torchtrt_ws.serve.asked_budgets import Budget
from torchtrt_ws.serve.batching import Tensors
from torchtrt_ws.serve.served_program import Answer, Request, ServedProgram
from torchtrt_ws.serve.settings import ModelSettings

__all__ = ["Replica"]


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
        self._stack = ExitStack()
        self._threads = ThreadPoolExecutor(settings.contexts, thread_name_prefix="infer")
        self._loaded: ServedProgram | None = None
        self._batched: Any = None

    def _load(self, budget: Budget) -> ServedProgram:
        settings = self._settings
        program = ServedProgram(
            settings.file,
            method=settings.method,
            max_batch_size=settings.max_batch_size,
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

    def _batching(self, settings: ModelSettings) -> Any:
        async def call(requests: list[Request]) -> list[Answer]:
            answers: list[Answer] = await self._in_thread(self._program.infer, requests)
            return answers

        return serve.batch(
            max_batch_size=self._program.limit,
            batch_wait_timeout_s=settings.batch_wait_timeout_s,
            max_concurrent_batches=settings.contexts,
            batch_size_fn=lambda requests: sum(self._program.rows(each.tensors) for each in requests),
        )(call)

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *arguments))

    async def infer(self, tensors: Tensors) -> Answer:
        """Runs the program, together with other requests where they can be joined.

        Args:
            tensors: Inputs by name.

        Returns:
            Outputs by name, or what was wrong.
        """
        request = Request(tensors, time.perf_counter_ns())
        limit = self._program.limit
        if self._batched is not None and limit is not None and self._program.rows(tensors) <= limit:
            answer: Answer = await self._batched(request)
            return answer
        (answer,) = await self._in_thread(self._program.infer, [request])
        return answer

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Loads the program, when Ray Serve starts the replica; later takes another budget, between calls.

        Args:
            user_config: `{"budget": ...}`. Not among the settings: a change of these is a new replica.

        Raises:
            WeightStreamingError: It does not load, or the budget does not fit: then it is as before.
        """
        configured = user_config.get("budget")
        wish = await self._asked.wish.remote(self._name, configured)
        budget = configured if wish is None else wish
        if self._loaded is None:
            self._loaded = await asyncio.to_thread(self._load, budget)
            if self._loaded.limit is not None:
                self._batched = self._batching(self._settings)
        elif budget != self._current:
            # None again: no load has said what that was, and "auto" is what it is where nothing is baked.
            await asyncio.to_thread(self._loaded.set_budget, "auto" if budget is None else budget)
        self._configured, self._current = configured, budget

    async def set_budget(self, budget: int | str) -> WeightStreamingError | None:
        """Changes the budget, between calls.

        Args:
            budget: See `ServedProgram.set_budget`.

        Returns:
            What was wrong, or None.
        """
        try:
            await asyncio.to_thread(self._program.set_budget, budget)
        except WeightStreamingError as error:
            return error
        self._current = budget
        return None

    async def undo_budget(self) -> None:
        """Takes the last `set_budget` back."""
        await asyncio.to_thread(self._program.undo_budget)

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

    def check_health(self) -> None:
        """For Ray Serve, which replaces the replica when this raises.

        Raises:
            WeightStreamingError: The last call failed, and one with zeros does too.
        """
        self._program.check()

    def __del__(self) -> None:
        stack = getattr(self, "_stack", None)
        if stack is not None:
            stack.close()

"""Changes of budget that overlap: the one that was asked for last holds, whichever ends first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from torchtrt_ws.errors import CapacityError
from torchtrt_ws.serve.asked_budgets import AskedBudgets

pytest.importorskip("ray")


class Handle:
    """One of Ray's, of an object here."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return type("Method", (), {"remote": staticmethod(getattr(self._target, name))})


class Model:
    """The handle of two replicas. The second has no room for "100GiB", which it finds out late."""

    def __init__(self) -> None:
        self.refused = asyncio.Event()  # "100GiB" may be
        self.calls: list[tuple[Any, ...]] = []

    @property
    def configured(self) -> Any:
        async def remote() -> str:
            return "10%"

        return type("Method", (), {"remote": staticmethod(remote)})

    def broadcast(self, method: str, *arguments: Any) -> Any:
        async def results(**options: Any) -> list[Any]:
            self.calls.append((method, *arguments))
            if method == "set_budget" and arguments[0] == "100GiB":
                await self.refused.wait()
                return [None, CapacityError("the engine", "no room", "some", "Ask for less.")]
            return [{}] if method == "report" else [None, None]

        return type("Response", (), {"results_async": staticmethod(results)})


def test_one_that_fails_leaves_what_was_asked_meanwhile() -> None:
    from torchtrt_ws.serve.ingress import Ingress

    async def scenario() -> None:
        model, asked = Model(), AskedBudgets()
        ingress = Ingress({"m": model}, Handle(asked), True, 1 << 20)
        slow = asyncio.create_task(ingress._change("m", "100GiB"))
        while ("set_budget", "100GiB", 1) not in model.calls:
            await asyncio.sleep(0)
        assert (await ingress._change("m", "80%")).status_code == 200
        model.refused.set()
        assert (await slow).status_code == 409
        assert await asked.wish("m", "10%") == "80%"
        assert ("undo_budget", 1) in model.calls, "of which replicas that changed it again take no notice"

    asyncio.run(scenario())


def test_wishes() -> None:
    async def scenario() -> None:
        asked = AskedBudgets()
        assert await asked.wish("m", "10%") is None
        first = await asked.ask("m", "10%", "20%")
        second = await asked.ask("m", "10%", "30%")
        third = await asked.ask("m", "10%", 0)
        assert await asked.wish("m", "10%") == 0
        assert await asked.wish("other", "10%") is None
        await asked.take_back("m", third)
        assert await asked.wish("m", "10%") == "30%"
        await asked.grant("m", second)
        await asked.take_back("m", first)  # which nobody remembers
        assert await asked.wish("m", "10%") == "30%"
        assert await asked.wish("m", "50%") is None, "the config has the last word"
        assert await asked.wish("m", "10%") is None, "for good"

    asyncio.run(scenario())

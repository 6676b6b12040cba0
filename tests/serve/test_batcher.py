"""What gathers while calls run, and that nobody waits for ever. Nothing here depends on how fast it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from torchtrt_ws.serve.batcher import Batcher


class Calls:
    """Calls that end when the test says so; the answer is the item, doubled."""

    def __init__(self) -> None:
        self.begun: list[list[int]] = []
        self.gates: list[asyncio.Event] = []
        self.error: BaseException | None = None

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        gate = asyncio.Event()
        self.begun.append(list(items))
        self.gates.append(gate)
        await gate.wait()
        if self.error is not None:
            raise self.error
        return [2 * item for item in items]


async def turns() -> None:
    """Lets everything happen that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def batcher(calls: Calls, limit: int = 4, wait: float = 0, concurrent: int = 1) -> Batcher[int, int]:
    """An item is its own size."""
    return Batcher(calls, size=lambda item: item, limit=limit, wait=wait, concurrent=concurrent)


def test_what_comes_during_a_call_goes_together_in_the_next() -> None:
    async def scenario() -> None:
        calls = Calls()
        gathered = batcher(calls)
        asked = [asyncio.ensure_future(gathered.ask(1))]
        await turns()
        assert calls.begun == [[1]], "one alone waits for nobody"
        asked += [asyncio.ensure_future(gathered.ask(size)) for size in (1, 2, 1, 3, 9, 1)]
        await turns()
        assert len(calls.begun) == 1
        for number in range(4):
            calls.gates[number].set()
            await turns()
        assert calls.begun == [[1], [1, 2, 1], [3], [9], [1]], "in order; 9 is more than a call has, and alone"
        calls.gates[4].set()
        assert await asyncio.gather(*asked) == [2, 2, 4, 2, 6, 18, 2]

    asyncio.run(scenario())


def test_as_many_calls_at_a_time_as_were_said() -> None:
    async def scenario() -> None:
        calls = Calls()
        gathered = batcher(calls, concurrent=2)
        asked = [asyncio.ensure_future(gathered.ask(4)) for _ in range(3)]
        await turns()
        assert len(calls.begun) == 2
        calls.gates[1].set()
        await turns()
        assert len(calls.begun) == 3
        calls.gates[0].set()
        calls.gates[2].set()
        assert await asyncio.gather(*asked) == [8, 8, 8]

    asyncio.run(scenario())


def test_a_full_call_does_not_wait() -> None:
    async def scenario() -> None:
        calls = Calls()
        gathered = batcher(calls, wait=3600)
        asked = [asyncio.ensure_future(gathered.ask(1)) for _ in range(3)]
        await turns()
        assert calls.begun == []
        asked.append(asyncio.ensure_future(gathered.ask(1)))
        await turns()
        assert calls.begun == [[1, 1, 1, 1]]
        calls.gates[0].set()
        assert await asyncio.gather(*asked) == [2, 2, 2, 2]

    asyncio.run(scenario())


def test_those_who_go_are_left_out() -> None:
    async def scenario() -> None:
        calls = Calls()
        gathered = batcher(calls)
        first = asyncio.ensure_future(gathered.ask(1))
        await turns()
        gone, stays = (asyncio.ensure_future(gathered.ask(size)) for size in (2, 3))
        await turns()
        gone.cancel()
        await turns()
        calls.gates[0].set()
        await turns()
        assert calls.begun == [[1], [3]]
        first.cancel()  # it has its answer already, or goes during its call: no harm either way
        calls.gates[1].set()
        assert await stays == 6

    asyncio.run(scenario())


def test_an_error_is_everyones_and_the_next_call_works() -> None:
    async def scenario() -> None:
        calls = Calls()
        gathered = batcher(calls)
        asked = [asyncio.ensure_future(gathered.ask(1)) for _ in range(2)]
        await turns()
        calls.error = ValueError("broken")
        calls.gates[0].set()
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [str(each) for each in found] == ["broken", "broken"]
        calls.error = None
        again = asyncio.ensure_future(gathered.ask(1))
        await turns()
        calls.gates[1].set()
        assert await again == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("results", [[], [1, 2]])
def test_a_call_that_answers_too_few_or_too_many_is_an_error(results: list[int]) -> None:
    async def call(items: Sequence[int]) -> Sequence[int]:
        return results

    async def scenario() -> None:
        gathered = Batcher(call, size=lambda item: 1, limit=1)
        with pytest.raises(ValueError, match="zip"):
            await gathered.ask(1)

    asyncio.run(scenario())

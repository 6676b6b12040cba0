"""A replica without Ray's processes: which budget it takes when, and when it says that it is ill."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from torchtrt_ws.errors import EngineError

pytest.importorskip("ray")


class Asked:
    """The handle of `AskedBudgets`: one wish for all; or gone."""

    def __init__(self) -> None:
        self.value: Any = None
        self.gone = False

    @property
    def wish(self) -> Any:
        return self

    async def remote(self, model: str, configured: Any) -> Any:
        if self.gone:
            raise RuntimeError("no such process")
        return self.value


def replica(files: dict[str, Path]) -> tuple[Any, Asked]:
    from torchtrt_ws.serve.replica import Replica
    from torchtrt_ws.serve.settings import ModelSettings

    asked = Asked()
    return Replica(ModelSettings(file=str(files["rows"])), asked, "rows"), asked


def budget(made: Any) -> tuple[int, int]:
    (engine,) = made._program.engines()
    return engine["budget_bytes"], engine["streamable_bytes"]


def test_a_wish_beats_the_config_and_may_come_late(files: dict[str, Path]) -> None:
    async def scenario() -> None:
        made, asked = replica(files)
        asked.value = "0%"
        await made.reconfigure({"budget": "100%"})
        assert budget(made)[0] == 0, "it loads with the wish, and never with more"
        asked.value = 8192
        await made.check_health()
        assert budget(made)[0] == 8192, "made while it started"
        asked.value, asked.gone = "0%", True
        await made.check_health()
        assert budget(made)[0] == 8192, "nobody there is no illness of the replica's"
        asked.gone, asked.value = False, "nonsense"
        await made.check_health()
        assert budget(made)[0] == 8192
        asked.value = None
        assert await made.set_budget("0%") is None
        await made.undo_budget()
        assert budget(made)[0] == 8192
        assert await made.set_budget("nonsense") is not None
        await made.undo_budget()
        assert budget(made)[0] == 8192
        assert await made.set_budget("0%", 1) is None
        assert await made.set_budget(4096, 2) is None
        await made.undo_budget(1)
        assert budget(made)[0] == 4096, "what was asked later stays"
        assert await made.set_budget("nonsense", 3) is not None
        await made.undo_budget(3)
        assert budget(made)[0] == 4096, "it had no part in that"
        await made.undo_budget(2)
        assert budget(made)[0] == 0
        await made.reconfigure({"budget": "0%"})
        assert budget(made)[0] == 0, "what was undone is not what it has"
        await made.reconfigure({"budget": "100%"})
        found, whole = budget(made)
        assert found == whole

    asyncio.run(scenario())


def test_a_replica_whose_program_fails_is_ill(files: dict[str, Path]) -> None:
    import numpy as np

    async def scenario() -> None:
        made, _ = replica(files)
        await made.reconfigure({})
        await made.check_health()
        made._program.close()  # from now on every call fails
        tensors = {"x": np.zeros((1, 256), np.float32), "shift": np.zeros((1, 1), np.float32)}
        assert isinstance(await made.infer(tensors), EngineError)
        with pytest.raises(EngineError):
            await made.check_health()

    asyncio.run(scenario())

"""What of Ray's errors reaches a user who starts a server on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from ray.exceptions import ActorDiedError

from torchtrt_ws.errors import EngineError
from torchtrt_ws.serve.local import Server
from torchtrt_ws.serve.settings import AppSettings


def test_a_process_of_ray_serve_that_ends_is_said(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    ended = []

    def run(*arguments: object, **options: object) -> None:
        raise ActorDiedError

    monkeypatch.delenv("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", raising=False)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", lambda **options: given.update(options))
    monkeypatch.setattr("ray.shutdown", lambda: ended.append("ray"))
    monkeypatch.setattr("ray.serve.start", lambda **options: given.update(options))
    monkeypatch.setattr("ray.serve.shutdown", lambda: ended.append("serve"))
    monkeypatch.setattr("ray.serve.run", run)
    settings = AppSettings.model_validate({"models": {"m": {"file": str(files["rows"])}}})
    with pytest.raises(EngineError, match=r"a process of Ray Serve that ended while it started: .*Try again"):
        Server(settings, "127.0.0.1", 0)
    assert ended == ["serve", "ray"] and given["address"] == "local"
    assert os.environ["RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S"] == "60"

"""Serves programs over HTTP in the Open Inference Protocol (v2), on one machine or a cluster: Ray Serve.

`run` serves until Ctrl-C; `app` builds what `serve run` deploys. Needs `pip install torchtrt-ws[serve]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchtrt_ws.serve.local import Server
    from torchtrt_ws.serve.settings import AppSettings

__all__ = ["app", "run", "start"]


def app(args: AppSettings | Mapping[str, Any]) -> Any:
    """The application for Ray Serve: `serve run config.yaml` with `import_path: torchtrt_ws.serve:app`.

    Args:
        args: `settings.AppSettings`, or the same as a mapping: `{"models": {"name": {"file": "model.pte", ...}}}`.

    Returns:
        A `ray.serve.Application`, for `ray.serve.run`.

    Raises:
        ProgramError: Settings that cannot be read.
        BudgetError: A budget that cannot be read.
        EngineError: Ray Serve is not installed.
    """
    from torchtrt_ws.serve.extra import require_serve

    require_serve()
    from torchtrt_ws.serve.application import application
    from torchtrt_ws.serve.settings import settings_of

    return application(settings_of(args))


def start(args: AppSettings | Mapping[str, Any], *, host: str = "127.0.0.1", port: int = 8000) -> Server:
    """Serves on this machine, in processes beside this one; returns when all models are loaded.

    Args:
        args: As for `app`.
        host: The address to listen at; "0.0.0.0" for all.
        port: 0 for a free one.

    Returns:
        The server: its `url`, and `close`, which a `with` block calls.

    Raises:
        ProgramError, BudgetError, CapacityError: Settings or a file that cannot be read, or weights that do not fit.
        EngineError: Ray Serve is not installed, or a replica did not start; the error says why.
    """
    from torchtrt_ws.serve.extra import require_serve

    require_serve()
    from torchtrt_ws.serve.local import Server
    from torchtrt_ws.serve.settings import settings_of

    return Server(settings_of(args), host, port)


def run(args: AppSettings | Mapping[str, Any], *, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serves on this machine until Ctrl-C or SIGTERM.

    Args:
        args: As for `app`.
        host: The address to listen at.
        port: 0 for a free one.

    Raises:
        ProgramError, BudgetError, CapacityError, EngineError: As `start`.
    """
    with start(args, host=host, port=port) as server:
        server.wait()

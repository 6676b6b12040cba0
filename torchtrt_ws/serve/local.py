"""A server on this machine: Ray started, the application deployed, and all of it ended."""

from __future__ import annotations

import os
import re
import signal
import threading
from types import FrameType, TracebackType

import ray
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.schema import LoggingConfig

from torchtrt_ws import pte
from torchtrt_ws.errors import EngineError, first_line
from torchtrt_ws.serve.application import application
from torchtrt_ws.serve.port import reserved
from torchtrt_ws.serve.settings import AppSettings

__all__ = ["Server"]

_NAME = "torchtrt_ws"


class Server:
    """Serves until it is closed. One in a process.

    Args:
        settings: What is served.
        host: The address to listen at.
        port: 0 for a free one.

    Raises:
        ProgramError: A file that cannot be read.
        EngineError: The address is not free, or a replica did not start.
    """

    def __init__(self, settings: AppSettings, host: str, port: int) -> None:
        for model in settings.models.values():  # what is wrong with files is said before processes start
            report = pte.read(model.file)
            report.require_engines()
            report.method(model.method)
        self.host, self._reserved = host, reserved(host, port)
        self.port: int = self._reserved.getsockname()[1]
        self._ends_ray = not ray.is_initialized()
        if self._ends_ray:
            processors = sum(model.num_replicas * model.num_cpus for model in settings.models.values())
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray tells its makers
            # A busy machine takes longer than Ray's 5 seconds to start a proxy, which is killed then (seen).
            os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")
            ray.init(
                address="local",  # whatever RAY_ADDRESS says
                num_cpus=max(1, int(processors + 0.999)),  # of this server alone: nobody else schedules here
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
            )
        try:
            serve.start(
                http_options={"host": host, "port": self.port}, logging_config=LoggingConfig(enable_access_log=False)
            )
            serve.run(application(settings), name=_NAME, route_prefix="/")
        except BaseException as error:
            found = _why(error)
            self.close()
            if found is not None:
                raise found from None
            raise

    @property
    def url(self) -> str:
        """Where it answers: "http://127.0.0.1:8000"."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{host}:{self.port}"

    def wait(self) -> None:
        """Returns at Ctrl-C or SIGTERM. In the main thread."""
        ended = threading.Event()

        def end(number: int, frame: FrameType | None) -> None:
            ended.set()

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            ended.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def close(self) -> None:
        """Ends it, after the requests in flight."""
        serve.shutdown()
        if self._ends_ray:
            ray.shutdown()
        self._reserved.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _why(error: BaseException) -> EngineError | None:
    """What Ray's own words leave out: the exception in the replica that did not start."""
    if isinstance(error, RayActorError):
        found = f"a process of Ray Serve that ended while it started: {first_line(error)}"
        return EngineError("serve", found, "one that goes on", "Try again when the machine has more time for it.")
    if not isinstance(error, RuntimeError):
        return None
    application = serve.status().applications.get(_NAME)
    deployments = application.deployments.values() if application is not None else ()
    said = [each.message for each in deployments] or [str(error)]
    lines = [line for each in said for line in each.splitlines() if _EXCEPTION.match(line)]
    found = _EXCEPTION.sub("", lines[-1]) if lines else first_line(error)
    if deployments:
        return EngineError("serve", f"a replica that does not start: {found}", "replicas that load their program", "")
    return EngineError("serve", f"a server that does not start: {found}", "one that answers at its address", "")


_EXCEPTION = re.compile(r"(?:[a-z_]\w*\.)*[A-Z]\w+: ")  # how a traceback ends

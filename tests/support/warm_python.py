"""Python processes that start at once: forked from one that has imported what the command line imports.

A start of the command is half a second of imports, and the tests start hundreds. Each is a process all the same, with
its own environment, exit code and end, and runs what `python ARGUMENTS` runs. What is about starting itself (what is
imported, limits of a process, what is read when the package is imported: TORCHTRT_WS_LOG, --quiet and --verbose)
starts Python anew, with subprocess.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quick_torch import quicken

# Read by the loader or by Python when a process starts: where they differ, another process is forked.
_AT_START = ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH")

# What torchtrt_ws.save, and ExecuTorch's own Python, import first: seven seconds.
_EXPORT = (
    "torch",
    "torch.export",
    "executorch.exir",
    "executorch.backends.xnnpack.partition.xnnpack_partitioner",
    "executorch.devtools.inspector",
    "torchtrt_ws.export.file.companion",
    "torchtrt_ws.export.file.rewritten",
)

_servers: dict[tuple[object, ...], subprocess.Popen[str]] = {}


def python(
    *arguments: object,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    exports: bool = False,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run([sys.executable, *arguments], text=True, capture_output=True)` does.

    Args:
        arguments: `-m` and a module, `-c` and code, or a script; then what follows in `sys.argv`.
        env: The whole environment; None for this process's.
        cwd: The folder it runs in; None for this process's.
        exports: Whether it exports, or uses torch or ExecuTorch's Python at all: it has them imported then, and what
            XNNPACK makes in each process that lowers to it.
        timeout: In seconds, after which the process is killed.

    Raises:
        subprocess.TimeoutExpired: It was.
    """
    words = list(map(str, arguments))
    environment = dict(os.environ if env is None else env)
    server = _server(environment, exports)
    assert server.stdin is not None and server.stdout is not None
    with tempfile.TemporaryDirectory() as folder:
        request = {"arguments": words, "environment": environment, "folder": str(cwd or os.getcwd()), "output": folder}
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        process = int(server.stdout.readline())
        late = threading.Event()

        def kill() -> None:
            late.set()
            os.kill(process, 9)

        timer = threading.Timer(timeout, kill)
        timer.start()
        code = int(server.stdout.readline())
        timer.cancel()
        out, err = ((Path(folder) / name).read_text() for name in ("stdout", "stderr"))
    command = [sys.executable, *words]
    if late.is_set():
        raise subprocess.TimeoutExpired(command, timeout, out, err)
    return subprocess.CompletedProcess(command, code, out, err)


def _server(environment: Mapping[str, str], exports: bool) -> subprocess.Popen[str]:
    key = (exports, *(environment.get(name) for name in _AT_START))
    if key not in _servers:
        kept = {name: value for name, value in os.environ.items() if name not in _AT_START}
        started = {name: environment[name] for name in _AT_START if name in environment}
        _servers[key] = subprocess.Popen(
            [sys.executable, __file__, *_EXPORT[: len(_EXPORT) * exports]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**kept, **started, "OPENBLAS_NUM_THREADS": "1"},  # a process with threads is not one to fork
        )
    return _servers[key]


def _serve() -> dict[str, Any]:
    """Forks for each line until there is none; returns in the forked processes only, with what to run."""
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        process = os.fork()
        if process == 0:
            return request
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
    sys.exit()


def _become(request: dict[str, Any]) -> None:
    """The streams, the folder and the environment that were asked for."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(f"{request['output']}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, descriptor)
        os.close(file)
    os.close(nothing)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])


def _warm_up() -> None:
    """Imports all that a command may, except torch, and what else was asked for."""
    import contextlib
    import gc
    import importlib
    import io

    import torchtrt_ws
    from torchtrt_ws.cli.main import SUBCOMMANDS, main

    for name in torchtrt_ws.__all__:
        getattr(torchtrt_ws, name)  # imported when asked for
    for name in (f"torchtrt_ws.cli.{command.replace('-', '_')}" for command in SUBCOMMANDS):
        importlib.import_module(name)
    for name in ("ml_dtypes", "rich.console", "rich.progress", "rich.table", "torchtrt_ws._native", *sys.argv[1:]):
        importlib.import_module(name)
    with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):
        main(["inspect", os.devnull])  # the command line imports more when it first parses one
    if "torch" in sys.argv:
        quicken()
        _make_patterns()
    gc.freeze()  # else each process goes through all of it when it ends
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads is not one to fork"


def _make_patterns() -> None:
    """The graphs that XNNPACK's passes look for in others: four seconds, once in each process."""
    import torch
    from executorch.backends.xnnpack.partition.graphs import bilinear_2d, sdpa
    from tqdm import tqdm

    threads, tqdm.monitor_interval = torch.get_num_threads(), 0  # both would start threads
    torch.set_num_threads(1)
    bilinear_2d.get_graphs()
    sdpa.get_graphs()
    torch.set_num_threads(threads)


def _run(arguments: list[str]) -> None:
    import runpy

    what, *rest = arguments
    if what == "-m":
        sys.argv, sys.path[0] = rest, os.getcwd()
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif what == "-c":
        sys.argv, sys.path[0] = ["-c", *rest[1:]], ""
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv, sys.path[0] = arguments, str(Path(what).parent)
        runpy.run_path(what, run_name="__main__")


if __name__ == "__main__":
    _warm_up()
    _request = _serve()
    _become(_request)
    _run(_request["arguments"])

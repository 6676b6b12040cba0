"""A process that had a subinterpreter, as uWSGI and mod_wsgi make them, and InterpreterPoolExecutor.

From then on Python's `PyGILState_Check` says to every thread that it holds the GIL.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUBINTERPRETER = """
import sys, threading
import numpy as np
import torchtrt_ws
try:
    import _interpreters as interpreters  # since 3.13
except ImportError:
    import _xxsubinterpreters as interpreters
interpreters.destroy(interpreters.create())
"""


def in_a_process(code: str, *arguments: object) -> str:
    """What it writes to stdout. A process of its own: that it had a subinterpreter stays with it."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", SUBINTERPRETER + code, *map(str, arguments)],
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_lines_of_cpp_still_reach_logging(plain: Path) -> None:
    code = """
import logging
from torchtrt_ws import logs
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s: %(message)s")
program = torchtrt_ws.load(sys.argv[1], weight_streaming_budget="50%")
print(len(program(*program.zeros())))
"""
    lines = in_a_process(code, plain).splitlines()
    assert any(line.startswith("torchtrt_ws.engines: engine 'forward'") for line in lines), lines
    assert lines[-1] == "1"


def test_budgets_change_beside_calls(plain: Path) -> None:
    """Who waits for his turn gives away the GIL, where he has it. Without log lines: each is a call of Python."""
    code = """
from torchtrt_ws.runtime.native import _native
program = torchtrt_ws.load(sys.argv[1])
_native.set_log_handler(None)
def change():
    for i in range(500):
        program.engines[0].set_budget("50%" if i % 2 else "100%")
threads = [threading.Thread(target=change) for _ in range(2)]
for thread in threads:
    thread.start()
calls = 0
while any(thread.is_alive() for thread in threads):
    calls += len(program(*program.zeros()))
print(calls > 0)
"""
    assert in_a_process(code, plain) == "True\n"

"""The process ends while daemon threads are in calls: a service that stops, a notebook, Ctrl-C in a script."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

# A load that lasts until somebody opens the FIFO for writing: that is what opening one for reading waits for. Threads
# give the GIL away only where they have to: the main thread has it again when the load is in C++, and keeps it from the
# last line that it writes to Python's end.
LOADS = """
import atexit, os, sys, threading
atexit.register(print, "ending", flush=True)  # runs last
from torchtrt_ws.runtime.native import _native
sys.setswitchinterval(1000)
started = threading.Event()
def load():
    started.set()
    _native.Program(sys.argv[1], [], False)
threading.Thread(target=load, daemon=True).start()
started.wait()
"""
CALLS = """
import sys, threading
import numpy as np
import torchtrt_ws
program = torchtrt_ws.load(sys.argv[1])
x = np.ones((2, 1024), np.float32)
def call():
    while True:
        program(x)
        called.set()
called = threading.Event()
for _ in range(2):
    threading.Thread(target=call, daemon=True).start()
called.wait()
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process of its own: Python itself ends it, with nothing of the tests in it."""
    command = [sys.executable, "-X", "faulthandler", "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it wrote, where its end is a good one."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out, err


def let_in(fifo: Path, process: subprocess.Popen[str]) -> None:
    """Ends the wait of who opens the FIFO for reading."""
    while process.poll() is None:
        try:
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
            return
        except OSError:  # nobody does, yet
            time.sleep(0.001)
    pytest.fail(f"the process has ended before: {process.communicate()[1]}")


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "program.pte"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("attempt", range(4))
def test_threads_in_calls(plain: Path, attempt: int) -> None:
    assert finish(start(CALLS, plain)) == ("", "")


def test_a_thread_in_the_log_handler(plain: Path) -> None:
    """Python ends threads where they ask for the GIL, also with C++ below: here when a load hands over its lines."""
    code = """
import logging, sys, threading, time
import torchtrt_ws
from torchtrt_ws import logs
def slow(record):
    logging_now.set()
    while True:
        time.sleep(0)
logging_now = threading.Event()
logging.getLogger(logs.ENGINES).addFilter(slow)  # no handler: logging's own end waits for these
logging.getLogger(logs.ENGINES).setLevel(logging.INFO)
threading.Thread(target=torchtrt_ws.load, args=[sys.argv[1]], daemon=True).start()
logging_now.wait()
"""
    assert finish(start(code, plain)) == ("", "")


def test_a_call_in_progress_comes_to_its_end(fifo: Path) -> None:
    process = start(LOADS, fifo)
    assert process.stdout is not None and process.stdout.readline() == "ending\n"
    let_in(fifo, process)
    _, err = finish(process)
    assert "[executorch:" in err, "the load said why it failed, after Python's end"
    assert "Python's end" not in err


def test_one_that_does_not_end_is_not_waited_for_for_ever(fifo: Path) -> None:
    _, err = finish(start(LOADS, fifo))
    assert "found a thread that is in a call 5 s after Python's end" in err


def test_a_child_has_none_of_the_calls(fifo: Path) -> None:
    code = """
child = os.fork()
if child != 0:
    print(os.waitpid(child, 0)[1], flush=True)
"""
    process = start(LOADS + code, fifo)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["ending\n", "0\n"]
    let_in(fifo, process)
    assert "Python's end" not in finish(process)[1]


def test_a_daemon_thread_that_follows_the_headroom(plain: Path) -> None:
    """The thread of C++ that looks is not there when libraries go."""
    code = """
import atexit, os, sys, threading, time
def threads():
    return len(os.listdir("/proc/self/task"))
atexit.register(lambda: print(threads() - before, flush=True))  # runs last
import torchtrt_ws
from torchtrt_ws import memory
program = torchtrt_ws.load(sys.argv[1])
program(*program.zeros())
memory.headroom("1KiB", device="cpu")
def follow():
    with memory.following(seconds=0.001):
        following.set()
        while True:
            time.sleep(1)
following = threading.Event()
before = threads()
threading.Thread(target=follow, daemon=True).start()
following.wait()
print(threads() - before)
"""
    assert finish(start(code, plain)) == ("2\n1\n", "")

"""Log lines of C++ through Python's `logging`, the switches, and the reason of a failure in its exception."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import torchtrt_ws
from torchtrt_ws import logs

LOAD = "import sys, numpy, torchtrt_ws\np = torchtrt_ws.load(sys.argv[1])\np(*p.zeros())\n"


def in_a_process(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, **environment},
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_lines_of_cpp_are_records(plain: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    torchtrt_ws.load(plain, weight_streaming_budget="50%")
    (line,) = [each for each in caplog.records if "source=load-time" in each.getMessage()]
    assert (line.name, line.levelno) == ("torchtrt_ws.engines", logging.INFO)
    assert line.filename.endswith(".cpp") and line.lineno > 0 and line.thread == threading.get_native_id()


def test_a_warning_is_one(plain: Path, caplog: pytest.LogCaptureFixture) -> None:
    from torchtrt_ws import _native

    caplog.set_level("WARNING")
    torchtrt_ws.load(plain, weight_streaming_budget_per_engine="1GiB")
    assert not caplog.records, "clipped is no warning"
    _native.Program(str(plain), [("weight_streaming_budget", "")]).load_method("forward")
    assert [(each.name, each.levelno) for each in caplog.records] == [(logs.ENGINES, logging.WARNING)], caplog.text


def test_nothing_of_a_good_load_on_stderr(plain: Path) -> None:
    assert in_a_process(LOAD, plain).stderr == ""


def test_verbose_and_quiet(plain: Path, tmp_path: Path) -> None:
    loud = in_a_process("from torchtrt_ws import logs\nlogs.verbose()\n" + LOAD, plain).stderr
    assert "INFO torchtrt_ws.engines: engine 'forward'" in loud
    assert in_a_process(LOAD, plain, TORCHTRT_WS_LOG="verbose").stderr.count("\n") == loud.count("\n")
    damaged = tmp_path / "damaged.pte"
    contents = plain.read_bytes()
    damaged.write_bytes(contents[:-5000] + bytes(4000) + contents[-1000:])
    fails = (
        f"import torchtrt_ws\ntry: torchtrt_ws.load({str(damaged)!r})\nexcept torchtrt_ws.WeightStreamingError: pass"
    )
    assert in_a_process(fails).stderr != ""
    assert in_a_process(fails, TORCHTRT_WS_LOG="quiet").stderr == ""
    assert "TORCHTRT_WS_LOG: found 'loud'" in in_a_process("import torchtrt_ws.runtime", TORCHTRT_WS_LOG="loud").stderr


def test_the_switches_undo_each_other() -> None:
    levels = {name: logging.getLogger(name).level for name in (logs.PACKAGE, logs.EXECUTORCH)}
    try:
        logs.quiet()
        assert not logging.getLogger(logs.XNNPACK).isEnabledFor(logging.CRITICAL)
        logs.verbose()
        assert logging.getLogger(logs.ENGINES).isEnabledFor(logging.DEBUG)
        logs.default()
        assert logging.getLogger(logs.PACKAGE).level == logging.NOTSET
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def test_the_stock_runtime_logs_here_too(plain: Path, tmp_path: Path) -> None:
    """Its calls hold the GIL: lines are passed on at once."""
    code = """
import logging, sys, torch
from executorch.runtime import Runtime
import torchtrt_ws.runtime
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s: %(message)s")
method = Runtime.get().load_program(sys.argv[1]).load_method("forward")
try:
    method.execute([torch.zeros(2, 1023)])
except RuntimeError:
    pass
"""
    out = in_a_process(code, plain).stdout
    assert "torchtrt_ws.engines: engine 'forward'" in out
    assert "executorch: " in out


def test_a_handler_that_raises_harms_nobody(plain: Path, x: np.ndarray) -> None:
    code = """
import logging, sys, torchtrt_ws
class Bad(logging.Handler):
    def emit(self, record):
        raise ValueError("bad handler")
logging.getLogger().addHandler(Bad())
logging.getLogger().setLevel(0)
program = torchtrt_ws.load(sys.argv[1])
print(len(program(*program.zeros())))
"""
    done = in_a_process(code, plain)
    assert done.stdout == "1\n" and "bad handler" in done.stderr


def test_lines_while_another_thread_holds_the_gil(plain: Path, x: np.ndarray) -> None:
    """Loads and changes log without the GIL, in several threads; a thread that never rests keeps asking for it."""
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger, handler, done = logging.getLogger(logs.ENGINES), Keep(), threading.Event()
    logger.addHandler(handler)
    before = logger.level
    logger.setLevel("INFO")

    def busy() -> None:
        while not done.is_set():
            sum(range(1000))

    def work() -> None:
        program = torchtrt_ws.load(plain)
        for budget in (0, "50%", "100%"):
            program.set_weight_streaming_budget(budget)
        program(x)

    idle = threading.Thread(target=busy)
    idle.start()
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        done.set()
        idle.join()
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert sum("source=automatic" in each.getMessage() for each in records) == 4
    assert len({each.thread for each in records}) == 4


def test_the_reason_is_in_the_exception(plain: Path, x: np.ndarray) -> None:
    """What ExecuTorch itself refuses: here, inputs of another shape than the method has memory for."""
    from torchtrt_ws import _native

    program = _native.Program(str(plain), [])
    program.load_method("forward")
    with pytest.raises(_native.Error) as failed:
        program.execute("forward", [np.zeros((4, 1024), np.float32)])
    code, subject, found, _, _ = failed.value.args
    assert (code, subject) == ("Error::NotSupported", "method 'forward'")
    assert "resize" in found and "Error::" in found, found
    (y,) = program.execute("forward", [x])
    assert y.shape == x.shape


def test_a_method_that_is_not_there_says_so(plain: Path) -> None:
    from torchtrt_ws import _native

    with pytest.raises(_native.Error) as failed:
        _native.Program(str(plain), []).load_method("backward")
    assert "backward" in failed.value.args[2], failed.value.args


def test_native_checks_what_the_package_would(plain: Path) -> None:
    from torchtrt_ws import _native

    program = _native.Program(str(plain), [])
    with pytest.raises(_native.Error, match="0 inputs"):
        program.execute("forward", [])
    with pytest.raises(_native.Error, match="Error::"):
        program.execute("forward", [np.zeros((2, 3), np.float32)])

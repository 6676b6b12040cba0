"""`torchtrt-ws serve`: what it says on stdout, how it ends, and what it refuses before anything starts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from warm_python import python

ROOT = Path(__file__).resolve().parent.parent.parent

pytest.importorskip("ray")
pytest.importorskip("tritonclient")


def test_a_file_is_served_until_ctrl_c(files: dict[str, Path]) -> None:
    """Ready when it says so, for a client that knows nothing of it; exit code 0."""
    command = [sys.executable, "-m", "torchtrt_ws", "serve", files["rows"], "--port", "0", "--name", "m", "--json"]
    with subprocess.Popen(
        [*map(str, command), "--budget", "50%"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as served:
        assert served.stdout is not None
        try:
            line = served.stdout.readline()
            assert line, served.communicate()[1]
            told = json.loads(line)
            assert told["model"] == "m"
            url = told["url"].removeprefix("http://")
            client = python(ROOT / "examples" / "ray_serve" / "client.py", "m", "--url", url)
            assert client.stdout == "output_0 FP32 [1, 256]\noutput_1 FP32 [1]\n", client.stderr
        finally:
            served.send_signal(signal.SIGINT)
        out, err = served.communicate(timeout=120)
    assert (served.returncode, out) == (0, ""), err
    assert err.endswith("ended\n")


@pytest.mark.parametrize(
    ("options", "code", "found"),
    [
        (("--budget", "140%"), 1, "error: budget: found '140%'"),
        (("--name", "a/b"), 1, "models.a/b"),
        (("--method", "nobody"), 1, "a call of method 'nobody'"),
        (("--replicas", "0"), 2, "--replicas"),
        (("--port", "70000"), 2, "--port"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(
    files: dict[str, Path], options: tuple[str, ...], code: int, found: str
) -> None:
    done = python("-m", "torchtrt_ws", "serve", files["rows"], *options, env={**os.environ, "RAY_ADDRESS": "nowhere"})
    assert (done.returncode, done.stdout) == (code, "")
    assert found in done.stderr


def test_a_port_that_somebody_has(files: dict[str, Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = python(
            "-m", "torchtrt_ws", "serve", files["rows"], "--port", port, env={**os.environ, "RAY_ADDRESS": ""}
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert f"found Address already in use (port {port}); expected an address that is free." in done.stderr


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "m.pte").write_bytes(b"no program")
    done = python("-m", "torchtrt_ws", "serve", tmp_path / "m.pte")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")

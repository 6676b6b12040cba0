"""`torchtrt-ws keygen`, `sign`, `verify`, and `run --trusted-key`."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path

import pytest
from warm_python import python

import torchtrt_ws


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return python("-m", "torchtrt_ws", *arguments, timeout=120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With m.pte, key.pem and key.pub.pem."""
    folder = tmp_path_factory.mktemp("trust")
    plan = struct.pack("<4s12xQ4B", b"vtrt", 100, 1, 6, 1, 120) + bytes(72)
    torchtrt_ws.save_plan(plan, folder / "m.pte", inputs="x:float32:4", outputs="y:float32:4")
    done = run("keygen", folder / "key.pem")
    assert (done.returncode, done.stdout) == (0, f"{folder / 'key.pub.pem'}\n")
    return folder


def test_sign_and_verify(folder: Path) -> None:
    done = run("sign", folder / "m.pte", "--key", folder / "key.pem")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{folder / 'm.pte.sig'}\n", "")
    done = run("verify", folder / "m.pte", "--key", folder / "key.pub.pem", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer.keys() == {"file", "key_id", "schema", "size", "sha256", "engines"}
    assert (answer["size"], [each["name"] for each in answer["engines"]]) == (
        (folder / "m.pte").stat().st_size,
        ["forward"],
    )
    done = run("verify", folder / "m.pte", "--key", folder / "key.pub.pem")
    assert done.stdout.startswith(f"{folder / 'm.pte'}: {answer['size']} bytes, signed by {answer['key_id']}\n")


def test_a_changed_file_is_exit_code_1(folder: Path, tmp_path: Path) -> None:
    signature = tmp_path / "elsewhere.sig"
    assert run("sign", folder / "m.pte", "--key", folder / "key.pem", "-o", signature).returncode == 0
    changed = tmp_path / "m.pte"
    changed.write_bytes((folder / "m.pte").read_bytes()[:-1] + b"\x7f")
    for command in (
        ("verify", changed, "--key", folder / "key.pub.pem", "--signature", signature),
        ("verify", changed, "--key", folder / "key.pub.pem"),  # there is none beside it
        ("run", changed, "--trusted-key", folder / "key.pub.pem"),
        ("sign", changed, "--key", folder / "key.pub.pem"),
        ("keygen", folder / "key.pem"),
    ):
        done = run(*command)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
        assert done.stderr.startswith("error: ")


@pytest.mark.parametrize("arguments", [("sign", "m.pte"), ("verify", "m.pte"), ("keygen",)])
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).returncode == 2

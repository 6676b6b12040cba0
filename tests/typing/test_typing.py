"""The package's types as a user's type checker sees them: mypy and pyright, both strict, on the project beside this."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent.parent / "torchtrt_ws"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, and beside it an environment with the package as an installation has it: what type checkers read of
    it, without the import hook of an editable one. What the package needs is in this environment's folders."""
    folder = tmp_path_factory.mktemp("typing")
    shutil.copytree(HERE / "project", folder / "project")
    venv.create(folder / "venv", with_pip=False)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    for path in (*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi"), PACKAGE / "py.typed"):
        copy = site / "torchtrt_ws" / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    (site / "others.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    return folder


def mypy(folder: Path, file: str) -> dict[int, str]:
    """What it complains about, by line."""
    python = folder / "venv" / "bin" / "python"
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable", str(python), file]
    done = subprocess.run(command, cwd=folder / "project", text=True, capture_output=True, timeout=600)
    assert not done.stderr, done.stderr
    found = re.findall(rf"^{re.escape(file)}:(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    assert len(found) == done.stdout.count(": error: "), f"complaints elsewhere: {done.stdout}"
    return {int(line): text for line, text in found}


def pyright(folder: Path, file: str) -> dict[int, str]:
    """The same."""
    (folder / "project" / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "include": [file]})
    )
    python = folder / "venv" / "bin" / "python"
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", str(python)]
    done = subprocess.run(command, cwd=folder / "project", text=True, capture_output=True, timeout=600)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1, done.stdout
    return {each["range"]["start"]["line"] + 1: each["message"] for each in report["generalDiagnostics"]}


@pytest.mark.parametrize("check", [mypy, pyright])
def test_a_right_program_passes(project: Path, check: Callable[[Path, str], dict[int, str]]) -> None:
    assert check(project, "app.py") == {}


@pytest.mark.parametrize("check", [mypy, pyright])
def test_wrong_lines_are_told(project: Path, check: Callable[[Path, str], dict[int, str]]) -> None:
    lines = (HERE / "project" / "wrong.py").read_text().splitlines()
    wanted = {number for number, line in enumerate(lines, 1) if "# wrong" in line}
    found = check(project, "wrong.py")
    assert found.keys() == wanted, found

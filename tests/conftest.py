"""Fixtures for more than one folder of tests."""

from __future__ import annotations

import fcntl
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from quick_torch import quicken
from warm_python import python

from torchtrt_ws import blob, pte
from torchtrt_ws.pte.layout import U64, Field, open_program, set_header

# Timing decides no test: on a slow or busy machine hypothesis may take its time to generate, and each example to run.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Exports make millions of objects, of which few are garbage: looking for it that often took a tenth of their time.
gc.set_threshold(50_000, 20, 20)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def pte_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real .pte files, written by tests/pte/make_pte.py in a process of its own, once for all workers; read only."""

    def make(folder: Path) -> None:
        done = python(ROOT / "tests" / "pte" / "make_pte.py", folder, exports=True)
        assert done.returncode == 0, done.stderr

    return once_for_all_workers(tmp_path_factory, "pte", make)


@pytest.fixture(scope="session")
def standin_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs with plans for the stand-ins, of tests/runtime/standin_cases.py, once for all workers. No test changes
    one that is there; cases may leave other files beside them."""
    libraries = sorted((ROOT / "build" / "dev" / "tests" / "standin" / "lib").glob("libnvinfer.so.??"))
    if not libraries:
        pytest.skip("no stand-ins in build/dev; make dev builds them where it finds CUDA's and TensorRT's headers")

    def make(folder: Path) -> None:
        done = python(ROOT / "tests" / "runtime" / "standin_cases.py", "write", folder, libraries[0], exports=True)
        assert done.returncode == 0, done.stdout + done.stderr

    return once_for_all_workers(tmp_path_factory, "standin", make)


def once_for_all_workers(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first worker to ask for it fills."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with (folder.with_suffix(".lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            made = tmp_path_factory.mktemp(name)
            make(made)
            made.rename(folder)
    return folder


@pytest.fixture
def sparse_program(pte_folder: Path, tmp_path: Path) -> Callable[[int], Path]:
    """Makes a program whose one engine has that many bytes, which take no room on a disk: nearly all are a hole."""

    def make(size: int) -> Path:
        path = tmp_path / "sparse.pte"
        path.write_bytes((pte_folder / "one.pte").read_bytes())
        (engine,) = pte.read(path).engines
        file = open_program(path)
        numbers = {file.segment(index).offset: index for index in range(file.segments.count)}
        position = file.segments.table(numbers[engine.payload_offset]).find(Field.SEGMENT_SIZE, U64.size)
        assert position is not None
        head = bytearray(path.read_bytes()[: engine.payload_offset + blob.HEADER_SIZE])
        payload_bytes = engine.engine_offset - engine.payload_offset + size
        segment_bytes = engine.payload_offset - file.segment_base + payload_bytes
        U64.pack_into(head, position, payload_bytes)
        U64.pack_into(head, engine.payload_offset + 16, size)  # of the engine, in the blob's header
        set_header(head, file.program_size, file.segment_base, segment_bytes)
        with path.open("r+b") as changed:
            changed.write(head)
            changed.truncate(engine.engine_offset + size)
        return path

    return make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests that wait for an export, so that `make test-fast` can leave them out. What waits for Ray comes first:
    at the end, other workers would have nothing to do meanwhile."""
    items.sort(key=lambda item: item.path.name != "test_serve.py")
    for item in items:
        if "pte_folder" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.exports)


@pytest.fixture(scope="session")
def build_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds a C++ project against the installed package, as the README says; returns the folder of what it builds."""

    def command(*arguments: object) -> str:
        done = subprocess.run(list(map(str, arguments)), text=True, capture_output=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def build(source: Path, **defines: object) -> Path:
        build = tmp_path_factory.mktemp("build")  # this worker's own
        prefix = command(sys.executable, "-m", "torchtrt_ws", "--cmake-prefix-path")
        options = [f"-D{name}={value}" for name, value in {"CMAKE_PREFIX_PATH": prefix, **defines}.items()]
        command("cmake", "-S", source, "-B", build, "-G", "Ninja", *options)
        command("cmake", "--build", build)
        return build

    return build


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Where somebody has imported torch's exporter; nobody needs to."""
    if "torch._export.utils" in sys.modules:
        quicken()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """`make test` installs all that tests need, so there a skip means that an install step is missing."""
    report = yield
    if report.skipped and os.environ.get("TORCHTRT_WS_NO_SKIPS"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and make test skips nothing: {report.longrepr}"
    return report

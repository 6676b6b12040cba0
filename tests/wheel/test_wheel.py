"""What users get: the source archive, a wheel made of nothing else, and an environment that has only that wheel."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from warm_python import python

ROOT = Path(__file__).resolve().parent.parent.parent
# Not ours to ship: they come with executorch and from NVIDIA.
EXCLUDED = re.search(r"^EXCLUDED := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)


def run(*command: object, **keywords: object) -> str:
    done = subprocess.run(list(map(str, command)), text=True, capture_output=True, timeout=550, **keywords)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, unpacked. It is made without git, and of a tree that is no clone."""
    tree, archives = tmp_path_factory.mktemp("tree") / "tree", tmp_path_factory.mktemp("sdist")
    shutil.copytree(
        ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", "build", "site", "__pycache__", ".*_cache")
    )
    code = f"from scikit_build_core.build import build_sdist; build_sdist({str(archives)!r})"
    run(sys.executable, "-c", code, cwd=tree, env={**os.environ, "PATH": "/no/git"})
    (archive,) = archives.iterdir()
    with tarfile.open(archive) as file:
        file.extractall(archives)
    archive.unlink()
    (unpacked,) = archives.iterdir()
    return unpacked


@pytest.fixture(scope="session")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the archive alone. What `make dev` compiled is in ccache, where that is installed."""
    out = tmp_path_factory.mktemp("wheel")
    site = sysconfig.get_path("purelib")
    options = ["build-dir=build/wheel", "cmake.define.TORCHTRT_WS_TENSORRT=ON", "cmake.define.TORCHTRT_WS_WERROR=ON"]
    # A third of the time, where there is no ccache. What is compiled for speed is `make dev`'s.
    options += ["cmake.define.CMAKE_CXX_FLAGS_RELEASE=-O0"]
    options += [f"cmake.define.CMAKE_PROJECT_torchtrt_ws_INCLUDE={ROOT / 'tests' / 'precompiled.cmake'}"]
    cache = ROOT / "build" / "dev" / "CMakeCache.txt"  # the same headers as there: whatever this machine has
    names = ("TENSORRT_INCLUDE_DIR", "CUDA_INCLUDE_DIR", "CUDART_LIBRARY")
    for name, value in re.findall(r"^(\w+):\w+=(.*)$", cache.read_text() if cache.exists() else "", re.MULTILINE):
        options += [f"cmake.define.{name}={value}"] if name in names else []
    settings = [word for option in options for word in ("-C", option)]
    environment = {**os.environ, "CCACHE_BASEDIR": str(source), "PYTHONPATH": site}
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "-w", out, *settings, source]
    run(*command, env=environment)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="session")
def repaired(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make wheel` tags it."""
    if shutil.which("auditwheel") is None:
        pytest.skip("no auditwheel; make test installs it")
    assert EXCLUDED is not None
    out = tmp_path_factory.mktemp("repaired")
    run("auditwheel", "repair", *EXCLUDED[1].replace("'", "").split(), "-w", out, wheel)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="session")
def installed(repaired: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it needs to load; the others' packages are this one's."""
    folder = tmp_path_factory.mktemp("fresh")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    (site,) = (folder / "lib").glob("python3*/site-packages")
    run(sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--no-deps", repaired)
    # Beside it, where its libraries look for it, as pip would put it.
    import importlib.util

    spec = importlib.util.find_spec("executorch")
    assert spec is not None and spec.submodule_search_locations
    (site / "executorch").symlink_to(next(iter(spec.submodule_search_locations)))
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n" + others(sysconfig.get_path("purelib")))
    return folder


def others(site: str) -> str:
    """What this environment's own .pth files add."""
    lines = [line for file in Path(site).glob("*.pth") for line in file.read_text().splitlines()]
    return "".join(f"{line}\n" for line in lines if Path(line).is_dir())


@pytest.fixture(scope="session")
def environment(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """No compiler on PATH, no library path, a cache of its own."""
    names = ("LD_LIBRARY_PATH", "PYTHONPATH", "CMAKE_PREFIX_PATH")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return {**kept, "PATH": str(installed / "bin"), "TORCHTRT_WS_CACHE": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="session")
def fresh(installed: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs Python there, in an empty folder."""
    empty = tmp_path_factory.mktemp("empty")

    def fresh_python(*arguments: object) -> str:
        return run(installed / "bin" / "python", *arguments, cwd=empty, env=environment)

    return fresh_python


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One host engine of 1 MiB, saved where there is all of torch."""
    path = tmp_path_factory.mktemp("program") / "host.pte"
    code = (
        "import sys, torch, torchtrt_ws\n"
        "torchtrt_ws.save(torch.nn.Linear(512, 512), sys.argv[1], arg_inputs=(torch.zeros(2, 512),))\n"
    )
    done = python("-c", code, path, exports=True)
    assert done.returncode == 0, done.stderr
    return path


def test_the_archive_has_what_a_build_needs_and_no_more(source: Path) -> None:
    names = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    assert names >= {"pyproject.toml", "CMakeLists.txt", "LICENSE", "README.md", "PKG-INFO", "cpp/core.cmake"}
    assert not [name for name in names if name.startswith((".git/", ".venv", "build/", ".ci", "benchmarks/results"))]


def test_the_wheel(repaired: Path) -> None:
    with zipfile.ZipFile(repaired) as file:
        names = file.namelist()
        tags = next(file.read(name).decode() for name in names if name.endswith(".dist-info/WHEEL"))
    libraries = {name for name in names if ".so" in Path(name).name}
    assert {Path(name).name.split(".")[0] for name in libraries} == {
        "_native", "libtorchtrt_ws", "libtorchtrt_ws_host", "libtorchtrt_ws_tensorrt",
    }  # fmt: skip
    assert {name.split("/")[0] for name in names if not name.startswith("torchtrt_ws-")} == {"torchtrt_ws"}
    assert "torchtrt_ws/include/torchtrt_ws/load_options.h" in names
    abi = "cp312-abi3" if sys.version_info >= (3, 12) else f"cp3{sys.version_info.minor}-cp3{sys.version_info.minor}"
    assert re.search(rf"^Tag: {abi}-manylinux_2_[0-9]+_", tags, re.MULTILINE), tags


def test_libraries_look_only_beside_themselves(repaired: Path, source: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(repaired) as file:
        file.extractall(tmp_path)
    for library in tmp_path.rglob("*.so*"):
        said = run("readelf", "-d", library)
        (runpath,) = re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", said)
        assert all(re.match(r"\$ORIGIN(/|$)", each) for each in runpath.split(":")), f"{library}: {runpath}"
        assert str(source).encode() not in library.read_bytes(), "it names this machine's folders"


def test_it_comes_from_there(fresh: Callable[..., str], installed: Path) -> None:
    (path, native) = ast.literal_eval(
        fresh(
            "-c", "import torchtrt_ws; from torchtrt_ws import _native as n; print((torchtrt_ws.__file__, n.__file__))"
        )
    )
    assert Path(path).is_relative_to(installed) and Path(native).is_relative_to(installed)


def test_a_program_runs_without_a_compiler(fresh: Callable[..., str], program: Path, tmp_path: Path) -> None:
    code = (
        "import json, sys, numpy as np, torchtrt_ws\n"
        "with torchtrt_ws.load(sys.argv[1], weight_streaming_budget='50%') as program:\n"
        "    arrays = [np.ones(each.shape, each.dtype) for each in program.inputs]\n"
        "    found = program(*arrays)\n"
        "    print(json.dumps([[np.asarray(each).tolist() for each in found], program.engines[0].source]))\n"
    )
    outputs, source = json.loads(fresh("-c", code, program))
    import torchtrt_ws

    with torchtrt_ws.load(program) as here:
        wanted = here(*[np.ones(each.shape or (), each.dtype) for each in here.inputs])
    for found, want in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(np.asarray(found), np.asarray(want), rtol=1e-5, atol=1e-5)
    assert source == "load-time"


def test_the_command_and_its_adapter(fresh: Callable[..., str], installed: Path) -> None:
    lines = fresh(installed / "bin" / "torchtrt-ws", "--version").splitlines()
    (adapter,) = [line for line in lines if line.startswith("TensorRT adapter ")]
    assert str(installed) in adapter
    facts = json.loads(fresh("-c", "import json, torchtrt_ws; print(json.dumps(torchtrt_ws.doctor().as_dict()))"))[
        "facts"
    ]
    assert {fact["name"]: fact["verdict"] for fact in facts}["adapter"] == "ok"


def test_the_readmes_first_program(fresh: Callable[..., str]) -> None:
    """Saved and run there; tests/guide has the other blocks, and what they print."""
    (code, *_) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert "torchtrt_ws.save" in code
    assert "2097152 load-time" in fresh("-c", code)


def test_it_serves(
    installed: Path, environment: dict[str, str], fresh: Callable[..., str], program: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    pytest.importorskip("tritonclient")
    interpreter = installed / "bin" / "python"
    command = [interpreter, "-m", "torchtrt_ws", "serve", program, "--port", "0", "--name", "m", "--json"]
    with subprocess.Popen(
        list(map(str, command)),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment,
    ) as served:
        assert served.stdout is not None
        try:
            line = served.stdout.readline()
            assert line, served.communicate()[1]
            url = json.loads(line)["url"].removeprefix("http://")
            said = fresh(ROOT / "examples" / "ray_serve" / "client.py", "m", "--url", url)
            assert said.split(maxsplit=1)[1] == "FP32 [2, 512]\n"
        finally:
            served.send_signal(signal.SIGINT)
        _, err = served.communicate(timeout=120)
    assert served.returncode == 0, err


COMPILERS = [("g++", 17), *([("clang++", 20)] if shutil.which("clang++") else [])]  # g++ and 20: tests/examples


@pytest.mark.parametrize(("compiler", "standard"), COMPILERS)
def test_a_strangers_project(
    fresh: Callable[..., str], program: Path, tmp_path: Path, compiler: str, standard: int
) -> None:
    """examples/cpp_app, somewhere else, with the README's lines and nothing else."""
    shutil.copytree(ROOT / "examples" / "cpp_app", tmp_path / "app")
    prefix = fresh("-m", "torchtrt_ws", "--cmake-prefix-path").strip()
    defines = {"CMAKE_PREFIX_PATH": prefix, "CMAKE_CXX_COMPILER": compiler, "CMAKE_CXX_STANDARD": standard}
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    options = [f"-D{name}={value}" for name, value in defines.items()]
    run("cmake", "-S", tmp_path / "app", "-B", tmp_path / "build", "-G", "Ninja", *options, env=environment)
    run("cmake", "--build", tmp_path / "build", env=environment)
    command = [tmp_path / "build" / "cpp_app", program, "--then-budget", "50%"]
    said = run(*command, env={**environment, "TORCHTRT_WS_CACHE": str(tmp_path / "cache")})
    (engine,) = [dict(word.split("=", 1) for word in line.split("\t")) for line in said.splitlines() if "kind=" in line]
    assert engine["runs"] == "2"
    assert 0 <= int(engine["streamable_bytes"]) // 2 - int(engine["budget_bytes"]) < 4096  # whole pages

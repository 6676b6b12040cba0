"""The folders say what follows what: a module imports from its own layer and from those above it in this list only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "torchtrt_ws"

# What everything else stands on comes first. A line is one layer; its modules and folders may import each other.
LAYERS = (
    ("errors", "facts"),
    ("identifiers", "names", "dtypes", "platforms", "gpus", "plan_header", "versions"),
    ("atomic", "digests", "copying", "logs"),
    ("budget",),
    ("blob",),
    ("pte",),
    ("planning", "cache"),
    ("trust",),
    ("runtime",),
    ("memory", "diagnosis"),
    ("metrics",),
    ("serve.protocol",),
    ("serve",),
    ("measuring",),
    ("warming",),
    ("export.placement", "export.tensor_text", "export.by_name", "export.packages", "export.collection"),
    ("export.engine", "export.streaming"),
    ("export.options",),
    ("export.graph",),
    ("export.sources",),
    ("export.file",),
    ("export",),  # the front doors: save, save_plan, save_compiled, tensorrt_partitioner
    ("plugin", "cli"),
    ("__main__", ""),  # the package itself looks its functions up when they are used
)
PURE = (
    "errors",
    "identifiers",
    "names",
    "dtypes",
    "platforms",
    "logs",
    "plan_header",
    "versions",
    "facts",
    "budget",
    "blob",
    "pte",
    "planning",
    "cache",
    "trust",
)
FOREIGN_TO_PURE = {"torch", "executorch", "numpy", "rich", "typer", "onnx", "tensorrt_rtx"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """ "export.save" for torchtrt_ws/export/save.py, "blob" for torchtrt_ws/blob/__init__.py, "" for the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(name: str) -> int:
    """The layer with the longest name that holds the module."""
    homes = [
        (len(home), index)
        for index, layer in enumerate(LAYERS)
        for home in layer
        if name == home or (home and name.startswith(home + "."))
    ]
    assert homes, f"{name} is in no layer: add it to LAYERS"
    return max(homes)[1]


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, at the top, in a function or for type checking only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: a relative import"
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (each if is_module(each) else node.module for each in submodules)


def is_module(dotted: str) -> bool:
    path = PACKAGE.parent.joinpath(*dotted.split("."))
    return dotted.startswith("torchtrt_ws.") and (path.with_suffix(".py").exists() or path.is_dir())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_up(path: Path) -> None:
    name = name_of(path)
    for each in imported(path):
        if each == "torchtrt_ws" or not each.startswith("torchtrt_ws.") or each == "torchtrt_ws._native":
            continue
        found = each.removeprefix("torchtrt_ws.")
        assert layer_of(found) <= layer_of(name), f"{name} imports {found}, which stands on it"


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path).split(".")[0] in PURE], ids=name_of)
def test_the_pure_core_imports_nothing_heavy(path: Path) -> None:
    assert not {each.partition(".")[0] for each in imported(path)} & FOREIGN_TO_PURE


def test_one_module_imports_cryptography_and_only_in_functions() -> None:
    """So that nothing needs it before somebody asks for a signature."""
    users = {name_of(path) for path in MODULES if any(each.startswith("cryptography") for each in imported(path))}
    assert users == {"trust.keys"}


def test_a_cpp_file_name_means_one_thing() -> None:
    files = [path for path in (PACKAGE.parent / "cpp").rglob("*") if path.suffix in (".h", ".cpp")]
    names = [path.name for path in files]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_every_layer_is_there() -> None:
    names = {name_of(path) for path in MODULES}
    assert all(home in names for layer in LAYERS for home in layer)

"""Whoever calls a public function needs its header or docstring alone: what it takes and gives, in which unit, and how
it fails."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchtrt_ws import errors
from torchtrt_ws.cli.main import SUBCOMMANDS

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "torchtrt_ws").rglob("*.py"))
HEADERS = sorted((ROOT / "cpp" / "include").rglob("*.h"))
ERRORS = set(errors.__all__) - {"first_line"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def public(tree: ast.Module) -> set[str]:
    """What `__all__` lists."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return set(ast.literal_eval(node.value))
    return set()


def functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Public functions, and the public methods and properties of public classes."""
    names = public(tree)
    for node in tree.body:
        if isinstance(node, Function) and node.name in names:
            yield node.name, node
        if isinstance(node, ast.ClassDef) and node.name in names:
            for member in node.body:
                if isinstance(member, Function) and not member.name.startswith("_"):
                    yield f"{node.name}.{member.name}", member


def parameters(function: Function) -> list[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return [each.arg for each in every if each is not None and each.arg not in ("self", "cls")]


def all_helped(function: Function) -> bool:
    """True if every parameter is annotated with a help text of typer's."""
    return all("help=" in ast.unparse(each.annotation) for each in function.args.args if each.annotation)


def raised(function: Function) -> set[str]:
    """Our errors that the function itself raises by name."""
    calls = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)} & ERRORS


def complaints(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    if not ast.get_docstring(tree):
        yield "the module does not say what it is about"
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in public(tree) and not ast.get_docstring(node):
            yield f"class {node.name} does not say what it is"
    shared = {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.ClassDef)}
    for name, function in functions(tree):
        text = ast.get_docstring(function)
        if text is None and path.name in INHERITS.get(name.partition(".")[2], ()):
            continue
        if text is None:
            yield f"{name} has no docstring"
            continue
        said_elsewhere = path.parent.name == "cli" and all_helped(function)  # typer shows help=
        text += shared.get(name.partition(".")[0], "")  # a class may say what all its methods take
        missing = [each for each in parameters(function) if not re.search(rf"\b{each}\b", text)]
        if missing and not said_elsewhere:
            yield f"{name}: the docstring does not say what {', '.join(missing)} is"
        unsaid = [each for each in raised(function) if each not in text]
        if unsaid:
            yield f"{name} raises {', '.join(unsaid)}, and does not say so"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_python(path: Path) -> None:
    assert not list(complaints(path))


# Members whose words are those of the protocol or base class that they implement.
INHERITS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("write", "seek", "tell"), ("progress.py",)),
    **dict.fromkeys(("digests", "sample", "write_to"), ("payload.py", "hashed.py")),
    **dict.fromkeys(("partition", "ops_to_not_decompose"), ("tensorrt_partitioner.py",)),
}


def test_what_is_exported_is_defined_or_imported() -> None:
    for path in MODULES:
        tree = ast.parse(path.read_text())
        names = {
            each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
        } | {each.name for each in ast.walk(tree) if isinstance(each, Function | ast.ClassDef)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        assert public(tree) <= names, path


@pytest.mark.parametrize("path", HEADERS, ids=relative)
def test_headers(path: Path) -> None:
    """Every declaration of a public header has a comment: `///` above it, or `//` behind it."""
    lines = path.read_text().splitlines()
    is_private = False
    for number, line in enumerate(lines):
        is_private = line == " private:" or (is_private and line != "};")
        if is_private or not DECLARATION.match(line) or IS_PLAIN.search(line):
            continue
        above = next((each for each in reversed(lines[:number]) if not each.strip().startswith("template")), "")
        told = above.strip().startswith(("//", "///")) or "//" in line
        assert told, f"{relative(path)}:{number + 1}: {line.strip()} has no comment"


# At namespace level or as a member: a type, or something with a parameter list, as clang-format lays it out.
DECLARATION = re.compile(r"^(?:  )?(?:class|struct|enum class|[A-Za-z_][\w:<>*& ]*\b[\w~]+\().*[;{,(]?$")
# What says nothing new: constructors, destructors, assignment, control flow, forward declarations.
IS_PLAIN = re.compile(
    r"= (?:delete|default)|^\s+(?:explicit )?~?(\w+)\((?:\1|const \1|void\*)"
    r"|^\s*(?:if|for|while|return|switch)\b|^\s*~|^class \w+;|^struct \w+;"
)


def test_each_command_has_a_page_with_all_that_its_help_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    pages = importlib.import_module("command_pages").command_pages()
    assert list(pages) == ["torchtrt-ws", *SUBCOMMANDS]
    assert all(f"[{name}]({name}.md)" in pages["torchtrt-ws"] for name in SUBCOMMANDS)
    for name in SUBCOMMANDS:
        command = [sys.executable, "-m", "torchtrt_ws", name, "--help"]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
        options = re.findall(r"^  (?:-\w, )?(--[\w-]+)", shown, re.MULTILINE)
        assert "--help" in options
        for option in options:
            assert re.search(rf"^\| `(-\w, )?{option}\b.*` \| \S.* \|$", pages[name], re.MULTILINE), (name, option)

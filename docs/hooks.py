"""Makes the pages of the site from what is in the tree, so that nothing is written twice.

README.md, docs/guide, CONTRIBUTING, CHANGELOG, SECURITY and benchmarks/results are pages as they are; each subcommand,
each public C++ header and each public Python module gets one. Links between files become links between pages.
"""

from __future__ import annotations

import ast
import logging
import posixpath
import re
from pathlib import Path
from typing import Any, NamedTuple

from command_pages import command_pages
from cpp_pages import header_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

log = logging.getLogger("mkdocs.hooks.torchtrt_ws")  # below "mkdocs": a strict build counts its warnings

ROOT = Path(__file__).resolve().parent.parent

PYTHON = (
    "",
    "errors",
    "budget",
    "blob",
    "pte",
    "planning",
    "cache",
    "export",
    "export.streaming",
    "runtime",
    "diagnosis",
    "memory",
    "measuring",
    "metrics",
    "serve",
    "serve.settings",
    "logs",
    "versions",
    "trust",
    "plugin",
)  # modules of torchtrt_ws that users import
PROJECT = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")

FENCED = re.compile(r"^(?:```[\s\S]*?^```$|(?: {4}.*\n)+)", re.MULTILINE)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
LINK = re.compile(r"(!?\[[^\]]*\])\(([^)\s]+)\)")
CODE_PATH = re.compile(r"(?<!\[)`([\w./-]+\.\w+)`")


class Page(NamedTuple):
    """One page: its title in the navigation, and its text with links as they are in the tree."""

    title: str
    text: str
    source: str  # the file it is from; relative links count from there


def title_of(text: str) -> str:
    heading = HEADING.search(text)
    assert heading is not None, "a page without a heading"
    return heading[2]


def guide_pages() -> dict[str, Page]:
    """The front page, and the pages of its table "The guide", in its order."""
    text = (ROOT / "README.md").read_text()
    names = re.findall(r"^\| \[[^\]]*\]\((docs/[^)]*)\)", text, re.MULTILINE)
    pages = {"index.md": Page("Home", text, "README.md")}
    for name in names:
        pages |= file_pages([ROOT / name], posixpath.dirname(name).removeprefix("docs").lstrip("/"))
    return pages


def file_pages(paths: list[Path], folder: str = "") -> dict[str, Page]:
    pages = {}
    for path in paths:
        text = path.read_text()
        name = posixpath.join(folder, path.name.lower())
        pages[name] = Page(title_of(text), text, path.relative_to(ROOT).as_posix())
    return pages


def module_tree(name: str) -> ast.Module:
    path = ROOT.joinpath(*name.split("."))
    return ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())


def exported(name: str) -> list[str]:
    """What a module's `__all__` lists."""
    for node in module_tree(name).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def python_pages() -> dict[str, Page]:
    """A module's page, and what hides behind a submodule of the same name (`export.save`): griffe sees the module."""
    pages = {}
    for each in PYTHON:
        name = f"torchtrt_ws.{each}".rstrip(".")
        parts = [f"::: {name}"]
        for node in ast.walk(module_tree(name)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(name + "."):
                twins = [alias.name for alias in node.names if node.module == f"{name}.{alias.name}"]
                parts += [f"::: {node.module}.{twin}\n    options: {TWIN}" for twin in twins]
        pages[f"api/python/{name}.md"] = Page(name, "\n\n".join(parts) + "\n", "README.md")
    return pages


TWIN = "{heading_level: 2, show_root_full_path: false, show_root_toc_entry: true}"


def cpp_pages() -> dict[str, Page]:
    """One page a header; a header that declares nothing has none."""
    pages = {}
    for path in sorted((ROOT / "cpp" / "include").rglob("*.h")):
        source = path.relative_to(ROOT).as_posix()
        include = path.relative_to(ROOT / "cpp" / "include").as_posix()
        if text := header_page(include, path.read_text()):
            pages[f"api/cpp/{path.stem}.md"] = Page(include, text, source)
    return pages


class Site:
    """All pages, and where each file is among them."""

    def __init__(self) -> None:
        self.guide = guide_pages()
        self.commands = {
            f"commands/{name}.md": Page(title_of(text), text, "README.md") for name, text in command_pages().items()
        }
        self.python, self.cpp = python_pages(), cpp_pages()
        self.results = file_pages(sorted((ROOT / "benchmarks" / "results").glob("*.md")), "results")
        self.project = file_pages([ROOT / name for name in PROJECT])
        self.pages = {**self.guide, **self.commands, **self.python, **self.cpp, **self.results, **self.project}
        own = {**self.guide, **self.cpp, **self.results, **self.project}  # of one file each
        self.homes = {page.source: name for name, page in own.items()}

    def navigation(self) -> list[dict[str, Any]]:
        def listed(pages: dict[str, Page]) -> list[dict[str, str]]:
            return [{page.title: name} for name, page in pages.items()]

        (home, *guide) = listed(self.guide)
        return [
            home,
            {"Guide": guide},
            {"Commands": listed(self.commands)},
            {"Python": listed(self.python)},
            {"C++": listed(self.cpp)},
            {"Measured": listed(self.results)},
            {"Project": listed(self.project)},
        ]

    def text(self, name: str) -> str:
        """A page's text with its links turned, and the names of files that are pages made into links."""
        page = self.pages[name]
        folder = posixpath.dirname(name)

        def relative(target: str) -> str:
            path, hash_, fragment = target.partition("#")
            inside = not path or (path == name and fragment)
            return ("" if inside else posixpath.relpath(path, folder or ".")) + hash_ + fragment

        def link(match: re.Match[str]) -> str:
            label, target = match[1], match[2]
            if re.match(r"[a-z]+:", target):
                return match[0]
            path, _, fragment = target.partition("#")
            path = posixpath.normpath(posixpath.join(posixpath.dirname(page.source), path)) if path else page.source
            if path in self.homes:
                return f"{label}({relative(self.homes[path] + ('#' + fragment if fragment else ''))})"
            if path.startswith("docs/"):
                return f"{label}({relative(path.removeprefix('docs/'))})"
            if (ROOT / path).exists():
                return label.strip("![]")  # a file of the tree that is no page: its name alone
            return match[0]  # for MkDocs to complain of

        def named(match: re.Match[str]) -> str:
            home = self.homes.get(match[1])
            return match[0] if home in (None, name) else f"[{match[0]}]({relative(str(home))})"

        parts, end = [], 0
        for block in [*FENCED.finditer(page.text), None]:
            start = block.start() if block else len(page.text)
            parts.append(CODE_PATH.sub(named, LINK.sub(link, page.text[end:start])))
            parts.append(block[0] if block else "")
            end = block.end() if block else start
        return "".join(parts)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.nav = Site().navigation()
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    site = Site()
    for name in site.pages:
        files.append(File.generated(config, name, content=site.text(name)))
    return files


def on_page_content(html: str, *, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Says which public names of a Python module are not on its page."""
    if page.file.src_uri.startswith("api/python/"):
        module = posixpath.basename(page.file.src_uri).removesuffix(".md")
        shown = {identifier.rpartition(".")[2] for identifier in re.findall(r'id="(torchtrt_ws[\w.]*)"', html)}
        if missing := [name for name in exported(module) if name not in shown]:
            log.warning("%s: %s in __all__, and not on its page", module, ", ".join(missing))
    return html

"""Draws docs/architecture.svg from the code: layers from tests/test_layers.py, arrows from imports and #includes.

    tools/architecture.py            # writes the picture
    tools/architecture.py --check    # exit code 1 when the committed one is not what the code says

A box is a module or folder of the package, or a folder of cpp/. An arrow points to what is imported; one that follows
from two others is left out. C++ has no list of layers: a folder stands one row above the highest that it includes.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
PACKAGE = "torchtrt_ws"

Edges = set[tuple[str, str]]

WIDTH, ROW, BOX, GAP, TOP, MARGIN = 560, 56, 26, 14, 92, 20  # pixels: of a panel at least, a row, ...
CHARACTER = 6.7  # pixels of one, at 12 pixels of a monospaced face

PURE, OTHER = ("#e6f4ea", "#34a853"), ("#e8eef9", "#4a6fb5")  # fill and stroke


class Panel(NamedTuple):
    """One stack of rows, the lowest first, and what imports what in it."""

    title: str
    rows: list[list[str]]
    edges: Edges
    pure: set[str]


class Place(NamedTuple):
    """Where a box is: its centre, and its width."""

    x: float
    y: float
    width: float


def constant(path: Path, name: str) -> object:
    """A module's constant, read without importing it."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(each, ast.Name) and each.id == name for each in node.targets
        ):
            return ast.literal_eval(node.value)
    raise SystemExit(f"{path}: no {name}")


def python_panel() -> Panel:
    """The package, in the layers that the tests hold it to."""
    test = ROOT / "tests" / "test_layers.py"
    layers = constant(test, "LAYERS")
    assert isinstance(layers, tuple)
    homes = [home for layer in layers for home in layer]
    edges: Edges = set()
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        source = home_of(module_name(path), homes)
        for target in imports(path):
            if home := home_of(target, homes):  # not the package itself, which looks things up when they are used
                edges.add((source, home))
    pure = constant(test, "PURE")
    assert isinstance(pure, tuple)
    return Panel("Python: torchtrt_ws/", [list(layer) for layer in layers], direct(edges), set(pure))


def module_name(path: Path) -> str:
    """ "export.save" for torchtrt_ws/export/save.py; the package itself is ""."""
    parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def home_of(module: str, homes: Iterable[str]) -> str:
    """The longest name in the list of layers that holds a module."""
    return max((home for home in homes if home in ("", module) or module.startswith(home + ".")), key=len)


def imports(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith(PACKAGE + ".") and not name.startswith(PACKAGE + "._native"):
                yield name.removeprefix(PACKAGE + ".")


def cpp_panel() -> Panel:
    """The folders of cpp/."""
    root = ROOT / "cpp"
    files = sorted(path for path in root.rglob("*") if path.suffix in (".h", ".cpp"))
    folders = {path.parent.relative_to(root).as_posix() for path in files}
    edges: Edges = set()
    for path in files:
        for included in re.findall(r'^#include "(.+)/[^/"]+"', path.read_text(), re.MULTILINE):
            target = f"include/{included}" if included == PACKAGE else included
            if target in folders:
                edges.add((path.parent.relative_to(root).as_posix(), target))
    edges = direct(edges)
    rows: list[list[str]] = []
    left = set(folders)
    while left:
        row = sorted(each for each in left if not any(a == each and b in left for a, b in edges))
        if not row:
            raise SystemExit(f"cpp/: these folders include each other in a circle: {', '.join(sorted(left))}")
        rows.append(row)
        left -= set(row)
    core = (root / "core.cmake").read_text()  # what links nothing
    pure = {folder for folder in folders if f"/{folder}/" in core}
    return Panel("C++: cpp/", rows, edges, pure)


def direct(edges: Edges) -> Edges:
    """The edges without those that follow from others, and without loops."""
    plain = {(a, b) for a, b in edges if a != b}
    after: dict[str, set[str]] = {}
    for a, b in plain:
        after.setdefault(a, set()).add(b)

    def reaches(start: str, goal: str, skipped: tuple[str, str]) -> bool:
        seen, todo = {start}, [start]
        while todo:
            here = todo.pop()
            for each in after.get(here, ()):
                if (here, each) == skipped or each in seen:
                    continue
                if each == goal:
                    return True
                seen.add(each)
                todo.append(each)
        return False

    return {(a, b) for a, b in plain if not reaches(a, b, skipped=(a, b))}


def shown(name: str) -> str:
    return name or PACKAGE


def routes(panel: Panel) -> tuple[list[list[str]], Edges]:
    """Rows and edges in which each edge leads to the next row: long ones pass through points named "row>target".

    What leads to one target shares its points, so that it reads as one line that others join.
    """
    rows = [list(row) for row in panel.rows]
    row_of = {name: number for number, row in enumerate(rows) for name in row}
    edges: Edges = set()
    for source, target in sorted(panel.edges):
        here = source
        for number in range(row_of[source] - 1, row_of[target], -1):
            point = f"{number}>{target}"
            if point not in rows[number]:
                rows[number].append(point)
            edges.add((here, point))
            here = point
        edges.add((here, target))
    return rows, edges


def width_of(name: str) -> float:
    """Pixels of a box, or of a point that a line passes through."""
    return 4 if ">" in name else len(shown(name)) * CHARACTER + 20


def panel_width(rows: list[list[str]]) -> int:
    """Pixels that the widest row needs."""
    return max(WIDTH, *(round(sum(map(width_of, row)) + GAP * (len(row) - 1) + 2 * MARGIN) for row in rows))


def places(rows: list[list[str]], edges: Edges, left: float, bottom: float, step: float) -> dict[str, Place]:
    """Rows from the bottom up; what is in a row stands above what it leads to, as far as there is room."""
    found: dict[str, Place] = {}
    width = panel_width(rows)
    for number, row in enumerate(rows):
        widths = {name: width_of(name) for name in row}
        wishes = {}
        for rank, name in enumerate(sorted(row)):
            below = [found[b].x for a, b in sorted(edges) if a == name and b in found]
            middle = left + width * (rank + 1) / (len(row) + 1)
            wishes[name] = sum(below) / len(below) if below else middle
        ordered = sorted(row, key=lambda name: (wishes[name], name))
        xs: list[float] = []
        edge = left + MARGIN
        for name in ordered:
            xs.append(max(wishes[name], edge + widths[name] / 2))
            edge = xs[-1] + widths[name] / 2 + GAP
        shift = sum(x - wishes[name] for x, name in zip(xs, ordered, strict=True)) / len(row)
        # Pushed to the right they are, on average, too far there; moved back, some may leave the panel on either side.
        edge = left + width - MARGIN
        for index in range(len(row) - 1, -1, -1):
            half = widths[ordered[index]] / 2
            xs[index] = min(xs[index] - shift, edge - half)
            edge = xs[index] - half - GAP
        edge = left + MARGIN
        for index, name in enumerate(ordered):
            xs[index] = max(xs[index], edge + widths[name] / 2)
            edge = xs[index] + widths[name] / 2 + GAP
            found[name] = Place(xs[index], bottom - number * step, widths[name])
    return found


def picture() -> str:
    """The SVG."""
    python, cpp = python_panel(), cpp_panel()
    height = TOP + len(python.rows) * ROW + MARGIN
    bottom = height - MARGIN - BOX
    drawn: list[str] = []
    left = MARGIN
    for panel in (python, cpp):
        # Fewer rows get more room: both stacks end at the same height.
        step = ROW * (len(python.rows) - 1) / max(len(panel.rows) - 1, 1)
        rows, edges = routes(panel)
        width = panel_width(rows)
        at = places(rows, edges, left, bottom, step)
        drawn.append(f'<rect class="panel" x="{left}" y="{MARGIN}" width="{width}" height="{height - 2 * MARGIN}"/>')
        drawn.append(f'<text class="title" x="{left + MARGIN}" y="{MARGIN + 24}">{panel.title}</text>')
        drawn.append(f'<text class="note" x="{left + MARGIN}" y="{MARGIN + 42}">{LEGEND}</text>')
        drawn += [line(a, b, at) for a, b in sorted(edges)]
        drawn += [box(name, place, name in panel.pure) for name, place in sorted(at.items()) if ">" not in name]
        left += width + MARGIN
    return "\n".join([HEAD.format(width=left, height=height), *drawn, "</svg>", ""])


def line(source: str, target: str, at: dict[str, Place]) -> str:
    """From a box or a point to the next; with a tip where it ends at a box."""
    a, b = at[source], at[target]
    x1, y1, x2, y2 = a.x, a.y, b.x, b.y
    if a.y == b.y:  # two boxes of one row: from side to side
        side = 1 if a.x < b.x else -1
        x1, x2 = a.x + side * a.width / 2, b.x - side * b.width / 2
    else:
        y1, y2 = (y1 if ">" in source else y1 + BOX / 2), (y2 if ">" in target else y2 - BOX / 2)
    bend = (y2 - y1) / 2
    tip = "" if ">" in target else ' marker-end="url(#tip)"'
    return (
        f'<path class="line" d="M{x1:.0f} {y1:.0f} C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} '
        f'{x2:.0f} {y2:.0f}"{tip}/>'
    )


def box(name: str, place: Place, pure: bool) -> str:
    fill, stroke = PURE if pure else OTHER
    return (
        f'<rect class="box" x="{place.x - place.width / 2:.0f}" y="{place.y - BOX / 2:.0f}" width="{place.width:.0f}" '
        f'height="{BOX}" fill="{fill}" stroke="{stroke}"/>'
        f'<text class="name" x="{place.x:.0f}" y="{place.y + 4:.0f}">{shown(name)}</text>'
    )


LEGEND = "An arrow: imports, or includes. Green: pure, knows neither torch, ExecuTorch nor CUDA."

HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<!-- Made by tools/architecture.py; not to be edited. -->
<title>What stands on what in torchtrt_ws/ and cpp/</title>
<defs>
<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 L8 4 L0 8 z" fill="#7a7a7a"/></marker>
<style>
.panel {{ fill: #ffffff; stroke: #cccccc; }}
.title {{ font: bold 15px sans-serif; fill: #222222; }}
.note {{ font: 11px sans-serif; fill: #555555; }}
.name {{ font: 12px monospace; fill: #222222; text-anchor: middle; }}
.box {{ rx: 5px; }}
.line {{ fill: none; stroke: #7a7a7a; stroke-width: 1.1; }}
</style>
</defs>"""


def main() -> None:
    text = picture()
    if "--check" not in sys.argv[1:]:
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_text(text)
    elif not PICTURE.exists() or PICTURE.read_text() != text:
        raise SystemExit(f"{PICTURE.relative_to(ROOT)} is not what the code says; run tools/architecture.py")


if __name__ == "__main__":
    main()

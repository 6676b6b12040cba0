"""The curve as a page that stands by itself and picks a budget, by Plotly (the extra "plot")."""

from __future__ import annotations

import html
import json
import os
from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import Any, BinaryIO

from torchtrt_ws.atomic import check_target, write_atomically
from torchtrt_ws.measuring.curve import CurvePoint, curve
from torchtrt_ws.measuring.report import BenchReport
from torchtrt_ws.measuring.targets import require

__all__ = ["page", "write_page"]

_HERE = Path(__file__).parent
_UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
_ACCENT = "#0b7285"


def write_page(report: BenchReport, path: str | os.PathLike[str]) -> None:
    """Writes the page.

    Args:
        report: What was measured.
        path: The .html.

    Raises:
        EngineError: Plotly is not installed.
        ProgramError: The file cannot be written.
    """
    target = check_target(path)
    text = page(report).encode()

    def put(file: BinaryIO) -> None:
        file.write(text)

    write_atomically(target, put)


def page(report: BenchReport) -> str:
    """The page: the curve, a slider for the memory of the device, and the line that makes a load take that budget.

    It needs no network: Plotly's code is in it. Names of files and engines are text in it, whatever they hold.

    Args:
        report: What was measured.

    Returns:
        HTML.

    Raises:
        EngineError: Plotly is not installed.
    """
    require("plotly")
    curves = {batch: curve(report, batch) for batch in report.batches}
    largest = max(point.device_bytes for points in curves.values() for point in points)
    unit, size = next(((name, size) for name, size in _UNITS if largest >= size), ("bytes", 1))
    data = {
        "unit_bytes": size,
        "batches": [{"batch": batch, "curve": [asdict(point) for point in points]} for batch, points in curves.items()],
    }
    where = dict.fromkeys([*(engine.gpu for engine in report.engines), report.machine])
    libraries = dict.fromkeys(engine.library for engine in report.engines)
    return Template((_HERE / "page.html").read_text()).substitute(
        title=html.escape(f"{Path(report.file).name}: latency over weight streaming budgets"),
        where=html.escape(", ".join(filter(None, [*where, *libraries]))),
        figure=_figure(list(curves.values()), unit, size),
        data=_in_script(data),
        script=(_HERE / "page.js").read_text(),
    )


def _in_script(value: Any) -> str:
    """JSON that cannot end the script element that it stands in."""
    text = json.dumps(value, allow_nan=False)
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _figure(curves: list[list[CurvePoint]], unit: str, size: int) -> str:
    """The plot with Plotly's code: four traces of each curve, then the one that marks what is picked. Numbers only:
    Plotly takes text for markup."""
    from plotly import graph_objects, io

    figure = graph_objects.Figure()
    for number, points in enumerate(curves):
        ordered = sorted(points, key=lambda each: each.device_bytes)
        chosen = [each for each in ordered if each.worth_using], [each for each in ordered if each.automatic]
        lines: list[tuple[str, list[CurvePoint], list[float], dict[str, Any]]] = [
            ("measured", ordered, [each.milliseconds for each in ordered], {"mode": "lines+markers"}),
            (
                "max(compute, streamed / bandwidth)",
                ordered,
                [each.floor_milliseconds for each in ordered],
                {"mode": "lines", "line": {"dash": "dot"}},
            ),
            ("worth using", chosen[0], [each.milliseconds for each in chosen[0]], {"marker": {"size": 11}}),
            (
                "automatic",
                chosen[1],
                [each.milliseconds for each in chosen[1]],
                {"marker": {"size": 15, "symbol": "diamond-open", "line": {"width": 2}}},
            ),
        ]
        for name, of, y, style in lines:
            x = [each.device_bytes / size for each in of]
            look = {"mode": "markers", "line": {"color": _ACCENT}, **style}
            look["marker"] = {"color": _ACCENT, **look.get("marker", {})}
            look["line"] = {"color": _ACCENT, **look["line"]}
            figure.add_trace(graph_objects.Scatter(x=x, y=y, name=name, visible=number == 0, **look))
    figure.add_trace(
        graph_objects.Scatter(
            x=[], y=[], mode="markers", name="picked", marker={"size": 20, "color": "#c2255c", "symbol": "circle-open"}
        )
    )
    figure.update_layout(
        template="plotly_white",
        xaxis_title=f"device memory, {unit}",
        yaxis={"title": "one call, ms", "rangemode": "tozero"},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        margin={"l": 60, "r": 20, "t": 60, "b": 50},
    )
    config = {"displayModeBar": False, "responsive": True}
    text: str = io.to_html(
        figure, config=config, include_plotlyjs=True, full_html=False, div_id="curve", default_height="26rem"
    )
    return text

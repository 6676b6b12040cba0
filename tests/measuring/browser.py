"""The page of `torchtrt-ws bench --html` in a real browser: make page.

    python browser.py PICTURE.png      # with Chromium; CHROMIUM names another one

A made-up report whose names are hostile is opened from a file, without a network. The slider is moved, the batch is
changed, and what the page then says is compared; a name that ran would have changed the title.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from made_reports import report

from torchtrt_ws.measuring.page import page

NAME = "<img src=x onerror=\"document.title='ran'\"></script><script>document.title='ran'</script>"
# What a person does: a memory of 70 of 25 to 110 MiB, and the second batch.
CLICKS = """<script>
document.getElementById("memory").value = 530;
document.getElementById("batch").selectedIndex = 1;
document.getElementById("batch").dispatchEvent(new Event("change"));
</script>"""


def main(picture: str) -> None:
    browser = os.environ.get("CHROMIUM", "chromium")
    common = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000",
              "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1200,1000"]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        plain, used = Path(folder) / "plain.html", Path(folder) / "used.html"
        text = page(report(f"{NAME}.pte", names=(NAME,), batches=(8, 1)))
        plain.write_text(text)
        used.write_text(text.replace("</body>", f"{CLICKS}</body>"))
        first, then = (dom([*common, "--dump-dom", path.as_uri()]) for path in (plain, used))
        subprocess.run([*common, f"--screenshot={picture}", used.as_uri()], check=True, capture_output=True)
    for each in (first, then):
        assert "<title>ran" not in each and "onerror=&quot;" not in each, "a name is markup"
        assert len(re.findall("<img", each)) == 0
        assert 'class="main-svg"' in each, "Plotly drew nothing"
    # All memory, batch 8: full residency. 69 to 85 MiB, batch 1: 20 MiB, which 60 needs 85 for.
    assert said(first) == {"budget": "100 MiB", "latency": "8.5 ms", "throughput": "941 rows/s"}, said(first)
    assert said(then) == {"budget": "20.0 MiB", "latency": "6.5 ms", "throughput": "154 rows/s"}, said(then)
    print(f"{picture}: the page works in {browser}")


def dom(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def said(text: str) -> dict[str, str]:
    found = {key: re.search(rf'<dd id="{key}">([^<]*)</dd>', text) for key in ("budget", "latency", "throughput")}
    return {key: match[1] if match else "nothing" for key, match in found.items()}


if __name__ == "__main__":
    main(sys.argv[1])

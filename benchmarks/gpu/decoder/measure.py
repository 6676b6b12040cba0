"""A decoder that does not fit the GPU: ours, bare TensorRT, and what people use today, on one machine in one run.

    python benchmarks/gpu/decoder/heads.py HEADS --shape 8b                  # anywhere; see there
    python benchmarks/gpu/decoder/measure.py HEADS WORK --name h100          # on the GPU machine

HEADS is what heads.py wrote; WORK is a folder with room for twice the weights. Each part is a process of its own, and
its results are in WORK/decoder.json before the next one begins: started again, with a name or a machine that is the
same, it does what is missing. `--parts` chooses some, `--minutes` ends it before a part that may take too long. At the
end, or with `--parts table` alone, the table, the plot and the numbers go to benchmarks/results/decoder-NAME-SHAPE.*.

Parts: link (copies from pinned memory), eager (everything on the device; the others' logits are compared with its),
build-1, ours-1, bare-1 (batch 1), double_buffer, accelerate, diffusers, build-8, ours-8, bare-8 (batch 8), table. Needs
PyTorch; TensorRT-RTX for ours and bare; accelerate and diffusers where they are to be compared. The builds replace each
other's files: 1 and 8 do not lie on the disk together.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent.parent
PARTS = (
    "link",
    "eager",
    "build-1",
    "ours-1",
    "bare-1",
    "double_buffer",
    "accelerate",
    "diffusers",
    "build-8",
    "ours-8",
    "bare-8",
)


def shape_of(heads: Path) -> Any:
    import model as models

    return models.Shape(**json.loads((heads / "decoder.json").read_text())["shape"])


def points(results: dict[str, Any], weight_bytes: int) -> list[int]:
    """Bytes of device memory at which rivals are measured: what ours took below 100 %, else shares of the weights."""
    of_ours = [row["device_bytes"] for row in results.get("ours-1", {}).get("rows", []) if row.get("percent") != 100]
    return sorted(of_ours) if any(of_ours) else [weight_bytes * share // 100 for share in (10, 25, 50, 75)]


def work(part: str, heads: Path, folder: Path) -> Any:
    """One part, in this process."""
    import model as models
    import timing

    results = read(folder)
    facts = json.loads((heads / "decoder.json").read_text())
    shape = models.Shape(**facts["shape"])
    kind, _, batch = part.rpartition("-")
    streaming, plain = f"streaming-{batch}", f"plain-{batch}"
    program, plan = folder / "ours.pte", folder / "bare.plan"
    if part == "link":
        return timing.link()
    if kind == "build":
        import assemble

        for old in (program, plan):
            old.unlink(missing_ok=True)
        began = time.perf_counter()
        weights = assemble.weights(shape)
        trt = assemble.import_tensorrt()
        found: dict[str, Any] = {"weights_seconds": time.perf_counter() - began}
        found["weight_bytes"] = sum(each.nbytes for name, each in weights.items() if not name.endswith("_behind"))
        for key in ("ours", "bare"):
            began = time.perf_counter()
            if key == "ours":
                found["digested"] = assemble.program(
                    trt, heads, streaming, facts["programs"][streaming], weights, program
                )
            else:
                assemble.plan(trt, heads, plain, facts["programs"][plain], weights, plan)
            found[f"{key}_seconds"] = time.perf_counter() - began
            found[f"{key}_peak_bytes"] = timing.host_peak()
        return found
    if kind == "ours":
        import ours

        return ours.measure(program, shape, int(batch), results[f"build-{batch}"]["digested"], folder)
    if kind == "bare":
        import bare

        at = sorted(row["device_bytes"] for row in results[f"ours-{batch}"]["rows"] if row.get("percent") != 100)
        return bare.measure(plan, shape, int(batch), at, folder)
    import rivals

    every = sum(each["weight_bytes"] for each in facts["programs"]["plain-1"]["engines"].values())
    return rivals.measure(part, shape, folder, points(results, every))


def read(folder: Path) -> dict[str, Any]:
    path = folder / "decoder.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def keep(folder: Path, part: str, found: Any) -> None:
    results = read(folder)
    results[part] = found
    new = folder / "decoder.json.new"
    new.write_text(json.dumps(results, indent=1) + "\n")
    new.rename(folder / "decoder.json")


def run(part: str, heads: Path, folder: Path, seconds: float) -> None:
    """A part in a process of its own; what goes wrong is kept as its result, for the others are worth having."""
    command = [sys.executable, __file__, str(heads), str(folder), "--worker", part]
    began = time.perf_counter()
    answer = folder / f"{part}.json"
    answer.unlink(missing_ok=True)
    try:
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=seconds)
        failed = None if done.returncode == 0 else f"exit {done.returncode}: {done.stderr[-1500:]}"
    except subprocess.TimeoutExpired:
        failed = f"not done after {seconds:.0f} s"
    took = time.perf_counter() - began
    if failed is None:
        found = json.loads(answer.read_text())
        keep(folder, part, {"rows": found, "took": took} if isinstance(found, list) else {**found, "took": took})
    else:
        keep(folder, part, {"failed": failed, "took": took})
    print(f"{part}: {took:.1f} s{'' if failed is None else ', ' + failed}", file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    import platform

    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"gpu": gpu, "torch": torch.__version__, "python": platform.python_version()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heads", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--name", default="here", help="of the machine: decoder-NAME-SHAPE.json")
    parser.add_argument("--shape", default="8b", help="what the results are called; heads.py says which it is")
    parser.add_argument("--parts", nargs="*", default=[*PARTS, "table"], choices=[*PARTS, "table"])
    parser.add_argument("--again", action="store_true", help="parts that are done, too")
    parser.add_argument("--minutes", type=float, default=9.0, help="no part goes on behind that (9)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--worker", choices=PARTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    if given.worker:
        (given.work / f"{given.worker}.json").write_text(json.dumps(work(given.worker, given.heads, given.work)))
        return
    ends = time.perf_counter() + 60 * given.minutes
    for part in given.parts:
        before = read(given.work).get(part)
        if part == "table" or (before and "failed" not in before and not given.again):
            continue
        left = ends - time.perf_counter()
        if left < 10:
            print(f"{part}: no time left; start this again", file=sys.stderr)
            continue
        run(part, given.heads, given.work, left)
    keep(given.work, "machine", machine())
    if "table" in given.parts:
        import plots

        plots.write(read(given.work), given.out / f"decoder-{given.name}-{given.shape}", shape_of(given.heads))


if __name__ == "__main__":
    main()

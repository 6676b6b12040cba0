"""Changes one byte of a saved program at a time, loads and runs each mutant, and says what came of it.

    python tests/fuzz/sweep.py                      # every byte, four values: minutes
    python tests/fuzz/sweep.py --every 16           # a sample
    python tests/fuzz/sweep.py --reader native      # without the check of torchtrt_ws.pte, as a C++ program loads
    python tests/fuzz/sweep.py --cache warm         # packed weights of the whole program are in the cache folder
    python tests/fuzz/sweep.py --methods first second   # two engines, whose program is stored once

A mutant is refused with one of our errors, gives the numbers of the whole program, or has a fault: other numbers
without an error, a crash, a hang, an error of another kind. Exit code 1: there are faults that
tests/fuzz/known_upstream.py does not explain.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # workers are forked: no threads before that

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from known_upstream import KNOWN
from regions import Part, parts_of

import torchtrt_ws.runtime
from torchtrt_ws.errors import WeightStreamingError
from torchtrt_ws.runtime.native import _native, translated

REFUSED, EQUAL, WRONG, CRASH, HANG, OTHER = "refused", "equal", "wrong", "crash", "hang", "other error"
OUTCOMES = (REFUSED, EQUAL, WRONG, CRASH, HANG, OTHER)
FAULTS = (WRONG, CRASH, HANG, OTHER)
BATCH = 64
MEMORY = 4 << 30  # bytes of address space, so that a mutant which asks for more is told no
X = np.linspace(-1.5, 2, 8, dtype=np.float32).reshape(2, 4)


class Mutant(NamedTuple):
    """One byte of the program, replaced."""

    position: int
    value: int


class Finding(NamedTuple):
    """What came of a mutant: one of OUTCOMES, and in which words."""

    mutant: Mutant
    outcome: str
    words: str


def save_program(path: Path, methods: Sequence[str]) -> None:
    """Saves one Linear as each of `methods`, in a process of its own: torch starts threads, and workers are forked."""
    pid = os.fork()
    if pid == 0:
        try:
            import torch

            torch.manual_seed(0)
            model = torch.nn.Linear(4, 4).eval()
            inputs = {name: (torch.zeros(2, 4),) for name in methods}
            torchtrt_ws.save(dict.fromkeys(methods, model), path, arg_inputs=inputs, weight_streaming_budget="100%")
        except BaseException as error:
            print(f"sweep: {error}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1] != 0:
        raise SystemExit("sweep: the program could not be saved")


def mutants_of(data: bytes, positions: Iterable[int]) -> list[Mutant]:
    """The mutants at `positions`: 0, 0xff, the lowest bit turned, the highest bit turned."""
    return [
        Mutant(position, value)
        for position in positions
        for value in sorted({0, 0xFF, data[position] ^ 1, data[position] ^ 0x80} - {data[position]})
    ]


def _run(path: Path, options: argparse.Namespace) -> bytes:
    """One load and one call of each method; the outputs' bytes."""
    outputs: list[Any] = []
    if options.reader == "python":
        loaded = torchtrt_ws.load(path)
        for method in options.methods:
            outputs += loaded.run(method, X)
    else:
        with translated():
            _native.load_adapter("host")
            program = _native.Program(str(path), [], True)
            for method in options.methods:
                outputs += program.execute(method, [X])
    return b"".join(str((o.dtype, o.shape)).encode() + o.tobytes() for o in map(np.asarray, outputs))


def _work(data: bytes, mutants: Sequence[Mutant], want: bytes, pipe: int, options: argparse.Namespace) -> NoReturn:
    """A worker: says which mutant it starts, and what came of it, one line each."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    if not options.verbose:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
    folder = Path(os.environ["TORCHTRT_WS_CACHE"]).parent
    path = folder / "mutant.pte"
    for mutant in mutants:
        changed = bytearray(data)
        changed[mutant.position] = mutant.value
        path.unlink(missing_ok=True)
        path.write_bytes(changed)
        if options.cache == "fresh":
            shutil.rmtree(os.environ["TORCHTRT_WS_CACHE"], ignore_errors=True)
        os.write(pipe, b"start\n")
        try:
            outcome, words = (EQUAL, "") if _run(path, options) == want else (WRONG, "other outputs")
        except WeightStreamingError as error:
            outcome, words = REFUSED, str(error).replace(str(path), "FILE")
        except Exception as error:
            outcome, words = OTHER, f"{type(error).__name__}: {error}"
        os.write(pipe, json.dumps([outcome, words]).encode() + b"\n")
    os._exit(0)


class _Worker:
    """A forked process with a batch of mutants, and the lines it has written."""

    def __init__(self, data: bytes, mutants: Sequence[Mutant], want: bytes, options: argparse.Namespace) -> None:
        self._read, write = os.pipe()
        self._lines: list[bytes] = []
        self._rest = b""
        self.pid = os.fork()
        if self.pid == 0:
            _work(data, mutants, want, write, options)
        os.close(write)

    def line(self, until: float) -> bytes | None:
        """The next line; b"" at the end, None when the time is over."""
        while not self._lines:
            ready, _, _ = select.select([self._read], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            chunk = os.read(self._read, 1 << 16)
            if not chunk:
                return b""
            *self._lines, self._rest = (self._rest + chunk).split(b"\n")
        return self._lines.pop(0)

    def end(self, kill: bool = False) -> int:
        """Waits for it, after a kill where asked; the signal that ended it, or 0."""
        if kill:
            os.kill(self.pid, signal.SIGKILL)
        os.close(self._read)
        status = os.waitpid(self.pid, 0)[1]
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _batch(data: bytes, mutants: Sequence[Mutant], want: bytes, options: argparse.Namespace) -> list[Finding]:
    """What came of `mutants`; fewer than given where one of them ended the worker."""
    worker = _Worker(data, mutants, want, options)
    found: list[Finding] = []
    for mutant in mutants:
        until = time.monotonic() + options.patience
        line = worker.line(until)
        if line == b"start":
            line = worker.line(until)
        if line is None:
            worker.end(kill=True)
            return [*found, Finding(mutant, HANG, f"no answer in {options.patience} s")]
        if not line:
            number = worker.end()
            return [*found, Finding(mutant, CRASH, signal.Signals(number).name if number else "it left the process")]
        outcome, words = json.loads(line)
        found.append(Finding(mutant, outcome, words))
    worker.end()
    return found


def sweep(data: bytes, mutants: Sequence[Mutant], options: argparse.Namespace) -> list[Finding]:
    """What came of each of `mutants`.

    Args:
        data: The whole program, whose numbers count as right.
        mutants: What to change in it.
        options: `reader` ("python", "native"), `cache` ("fresh", "warm", "off"), `verbose`.

    Returns:
        One finding for each, in order.
    """
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        os.environ["TORCHTRT_WS_CACHE"] = str(cache)
        if options.cache == "off":
            cache.write_text("a file, so that no folder can be made here")
        whole = Path(folder) / "whole.pte"
        whole.write_bytes(data)
        want = _in_a_child(whole, options)  # a warm cache has its packed weights now
        while len(findings) < len(mutants):
            findings += _batch(data, mutants[len(findings) : len(findings) + BATCH], want, options)
    return findings


def _in_a_child(path: Path, options: argparse.Namespace) -> bytes:
    """The numbers of the whole program, from a process of their own: XNNPACK starts threads."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, _run(path, options))
        except BaseException as error:
            print(f"sweep: the whole program does not run: {error}", file=sys.stderr)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    if not answer:
        raise SystemExit(1)
    return answer


def table(findings: Sequence[Finding], parts: Sequence[Part]) -> str:
    """Mutants by part of the file and outcome, as Markdown."""
    counts: dict[str, Counter[str]] = {}
    for finding in findings:
        counts.setdefault(part_of(finding.mutant, parts), Counter())[finding.outcome] += 1
    rows = [["part of the file", "bytes", "mutants", *OUTCOMES]]
    for name in dict.fromkeys(part.name for part in parts):
        size = sum(part.end - part.start for part in parts if part.name == name)
        found = counts.get(name, Counter())
        rows.append([name, str(size), str(found.total()), *(str(found[outcome]) for outcome in OUTCOMES)])
    total = Counter(finding.outcome for finding in findings)
    rows.append(["all", str(parts[-1].end), str(len(findings)), *(str(total[outcome]) for outcome in OUTCOMES)])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def part_of(mutant: Mutant, parts: Sequence[Part]) -> str:
    """The name of the part that `mutant` changes."""
    return next(part.name for part in parts if part.start <= mutant.position < part.end)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th byte")
    parser.add_argument("--reader", choices=("python", "native"), default="python")
    parser.add_argument("--cache", choices=("fresh", "warm", "off"), default="fresh", help="packed weights on disk")
    parser.add_argument("--save", type=Path, help="only save the program here")
    parser.add_argument("--patience", type=int, default=10, metavar="S", help="no answer in S seconds: it hangs")
    parser.add_argument("--program", type=Path, help="a .pte of host engines that take float32[2, 4]")
    parser.add_argument("--methods", nargs="+", default=["forward"], metavar="NAME", help="of the program")
    parser.add_argument("--only", metavar="POSITION:VALUE", help="this mutant alone")
    parser.add_argument("--report", type=Path, help="write every fault here, as JSON")
    parser.add_argument("--verbose", action="store_true", help="show what the workers print")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    if options.save:
        save_program(options.save, options.methods)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = options.program or Path(folder) / "program.pte"
        if options.program is None:
            save_program(path, options.methods)
        data, parts = path.read_bytes(), parts_of(path)
    if options.only:
        position, value = (int(number, 0) for number in options.only.split(":"))
        mutants = [Mutant(position, value)]
    else:
        mutants = mutants_of(data, range(0, len(data), options.every))
    start = time.monotonic()
    findings = sweep(data, mutants, options)
    print(table(findings, parts))
    print(f"\n{len(findings)} mutants in {time.monotonic() - start:.0f} s; {options.reader}, cache {options.cache}")
    faults = [finding for finding in findings if finding.outcome in FAULTS]
    if options.report:
        rows = [[*f.mutant, part_of(f.mutant, parts), f.outcome, f.words] for f in faults]
        options.report.write_text("\n".join(map(json.dumps, rows)) + "\n")
    reasons = Counter((part_of(f.mutant, parts), f.outcome) for f in faults)
    for fault, count in sorted(reasons.items()):
        print(f"{count} x {fault[1]} in {fault[0]!r}: {KNOWN.get(fault, 'NOT KNOWN')}")
    for finding in faults:
        if (part_of(finding.mutant, parts), finding.outcome) not in KNOWN:
            print(f"--only {finding.mutant.position}:{finding.mutant.value:#x}  {finding.outcome}: {finding.words}")
    return 0 if reasons.keys() <= KNOWN.keys() else 1


if __name__ == "__main__":
    sys.exit(main())

"""Writes plans that the TensorRT stand-in reads: small, made by hand, and refused by the real TensorRT.

A plan is, little-endian:

    0    4 bytes   magic: `vtrt` (TensorRT-RTX, as in its real plans) or `ftrt` (TensorRT; the stand-in's own choice)
    4    12 bytes  `STANDIN-PLAN`
    16   u64       size of the whole plan
    24   4 bytes   version of TensorRT: major, minor, patch, build
    28   u32       size of the text
    32   text, then the weights (any bytes), then u32 CRC-32 (zlib) of all bytes before it

The text is ASCII, one item a line, with words between single spaces. Shapes are `2,4`, or `-` for 0-d. Sizes are bytes.

    compute 90                                     compute capability, 10 * major + minor; left out: any
    platform linux_x86_64
    streaming 1                                    built with kWEIGHT_STREAMING
    streamable N / resident N                      weights that can stream, and others; the plan need not carry them
    scratch N / context N...                       what an execution context takes, the first only while streaming, the
                                                   second in each profile
    capturable 0                                   enqueueV3 cannot be captured
    refittable N                                   takes weights by name: 1, those it was built with (REFIT_IDENTICAL);
                                                   2, any (REFIT)
    together NAME...                               weights that are set together or not at all
    weight NAME DTYPE COUNT                        and its bytes in hexadecimal digits; left out: a refit brings it
    input NAME DTYPE MIN OPT MAX                   and `host` (a shape tensor) or `vectorized` (not kLINEAR;
                                                   `vectorized:N`: from profile N on)
    profile NAME MIN OPT MAX                       a further profile of an input; one without is there as in the first
    values NAME MIN OPT MAX                        of a shape tensor, written as shapes are; once for each profile
    output NAME DTYPE affine BIAS FACTOR*INPUT...  bias + sum of factor * input, in the shape of the first input
    output NAME DTYPE sum BIAS FACTOR*INPUT...     0-d: bias + sum of factor * (sum of all elements); `sum1`: shape [1]
    output NAME DTYPE nonzero BIAS INPUT           where INPUT is not 0: [its rank, as many as there are], row by row
    output ... shape INPUT                         in the shape that a shape tensor says; what there is, again and again
    output ... scale NAME                          all factors times the first element of that weight
    output ... offset NAME                         and the bias plus it
    output ... alias INPUT                         written into that input's memory (TensorRT 11)

No imports but the standard library. As a script it writes the default plan: `python plan.py FILE [--rtx] [VERSION]`.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

RTX_VERSION = (1, 6, 1, 120)
TENSORRT_VERSION = (10, 14, 1, 48)
Shape = Sequence[int]


def _shape(shape: Shape) -> str:
    return ",".join(str(size) for size in shape) or "-"


@dataclass(frozen=True)
class Input:
    """An input. `max` is `min`, and `opt` is `max`, where they are left out; `flags` are `host`, `vectorized`.

    `more` are its bounds in further profiles: min, opt, max; `values` those of a shape tensor's values.
    """

    name: str
    min: Shape
    max: Shape | None = None
    opt: Shape | None = None
    dtype: str = "float32"
    flags: Sequence[str] = ()
    more: Sequence[tuple[Shape, Shape, Shape]] = ()
    values: Sequence[tuple[Shape, Shape, Shape]] = ()

    def line(self) -> str:
        largest = self.min if self.max is None else self.max
        best = largest if self.opt is None else self.opt
        flags = "".join(f" {flag}" for flag in self.flags)
        lines = [f"input {self.name} {self.dtype} {_shape(self.min)} {_shape(best)} {_shape(largest)}{flags}"]
        lines += [f"profile {self.name} {' '.join(map(_shape, bounds))}" for bounds in self.more]
        lines += [f"values {self.name} {' '.join(map(_shape, values))}" for values in self.values]
        return "\n".join(lines)


@dataclass(frozen=True)
class Output:
    """An output of `kind` affine, sum, sum1 or nonzero: `bias`, and the inputs with their factors, in order."""

    name: str
    terms: dict[str, float]
    bias: float = 0.0
    dtype: str = "float32"
    kind: str = "affine"
    alias: str | None = None
    shape: str | None = None
    scale: str | None = None  # weights of the plan
    offset: str | None = None

    def line(self) -> str:
        terms = " ".join(f"{factor!r}*{name}" for name, factor in self.terms.items())
        alias = f" alias {self.alias}" if self.alias is not None else ""
        shape = f" shape {self.shape}" if self.shape is not None else ""
        named = "".join(f" {key} {name}" for key, name in (("scale", self.scale), ("offset", self.offset)) if name)
        return f"output {self.name} {self.dtype} {self.kind} {self.bias!r} {terms}{alias}{shape}{named}"


@dataclass(frozen=True)
class Weight:
    """A weight with a name: `first` is its first element, the others are 0; None: a refit brings it."""

    name: str
    first: float | None
    count: int = 1

    def line(self) -> str:
        values = b"" if self.first is None else struct.pack("<f", self.first) + bytes(4 * (self.count - 1))
        return f"weight {self.name} float32 {self.count} {values.hex()}".rstrip()


@dataclass(frozen=True)
class Plan:
    """One plan. The default is `y = 2 * x + 1` with x of 1 to 8 rows of 4, and weights that can stream."""

    inputs: Sequence[Input] = (Input("x", (1, 4), (8, 4)),)
    outputs: Sequence[Output] = (Output("y", {"x": 2.0}, 1.0),)
    rtx: bool = False
    version: tuple[int, ...] | None = None  # None: RTX_VERSION or TENSORRT_VERSION
    compute: int | None = 90
    platform: str = "linux_x86_64"
    streaming: bool = True
    streamable: int = 64 << 20
    resident: int = 1 << 20
    scratch: int = 8 << 20
    context: int = 4 << 20
    capturable: bool = True
    refittable: int = 0
    named: Sequence[Weight] = ()
    weights: bytes = field(default=b"", repr=False)
    extra: Sequence[str] = ()  # further lines, before those of the tensors

    def text(self) -> str:
        lines = [
            f"platform {self.platform}",
            f"streaming {int(self.streaming)}",
            f"streamable {self.streamable}",
            f"resident {self.resident}",
            f"scratch {self.scratch}",
            f"context {self.context}",
            f"capturable {int(self.capturable)}",
        ]
        if self.compute is not None:
            lines.insert(0, f"compute {self.compute}")
        if self.refittable:
            lines.append(f"refittable {self.refittable}")
        lines += [weight.line() for weight in self.named]  # before the outputs that name them
        lines += self.extra
        lines += [tensor.line() for tensor in self.inputs] + [tensor.line() for tensor in self.outputs]
        return "\n".join(lines) + "\n"


def write(plan: Plan | None = None) -> bytes:
    """The plan's bytes.

    Args:
        plan: What to write; None for the default plan.

    Returns:
        A whole plan that the stand-in of its kind deserializes.
    """
    plan = plan or Plan()
    text = plan.text().encode("ascii")
    version = plan.version or (RTX_VERSION if plan.rtx else TENSORRT_VERSION)
    size = 32 + len(text) + len(plan.weights) + 4
    head = struct.pack("<4s12sQ4BI", b"vtrt" if plan.rtx else b"ftrt", b"STANDIN-PLAN", size, *version, len(text))
    body = head + text + plan.weights
    return body + struct.pack("<I", zlib.crc32(body))


def garbage(size: int = 4096) -> bytes:
    """Bytes that are no plan at all, always the same."""
    state, out = 12345, bytearray()
    while len(out) < size:
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        out.append(state >> 16 & 0xFF)
    return bytes(out)


def truncated(plan: Plan | None = None, keep: float = 0.5) -> bytes:
    """The first part of a good plan."""
    whole = write(plan)
    return whole[: int(len(whole) * keep)]


def damaged(plan: Plan | None = None) -> bytes:
    """A plan with one bit changed in its last byte before the checksum."""
    whole = bytearray(write(plan))
    whole[-5] ^= 1
    return bytes(whole)


def wrong_version(rtx: bool = False) -> bytes:
    """A plan of an older TensorRT."""
    return write(Plan(rtx=rtx, version=(1, 4, 0, 7) if rtx else (10, 3, 0, 26)))


def other_device(rtx: bool = False) -> bytes:
    """A plan for a GPU of another compute capability."""
    return write(Plan(rtx=rtx, compute=75))


def _main(path: str, *options: str) -> None:
    versions = [tuple(int(part) for part in option.split(".")) for option in options if option != "--rtx"]
    Path(path).write_bytes(write(Plan(rtx="--rtx" in options, version=versions[0] if versions else None)))


if __name__ == "__main__":
    _main(*sys.argv[1:])

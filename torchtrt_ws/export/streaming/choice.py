"""Which weights of a method should not be streamed with the others, and what that saves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torchtrt_ws.export.streaming.options import StreamingOptions

__all__ = ["Choice", "Weight", "choose", "fused", "scratch"]

_SMALL_PART = 8  # what follows a head may hold one of this many parts of its bytes, such as a bias


@dataclass(frozen=True)
class Weight:
    """One weight of a method; weights that are one tensor (tied) are one.

    Args:
        name: As the module names it.
        bytes: Its size.
        lookups: How often rows of it are looked up by indices that the CPU can compute.
        others: How often it is used in another way.
        stays: Why its lookups cannot leave the engine; "" where they can.
        fused_with: Weights with the same key are multiplied with the same tensor, and TensorRT makes one of them.
        behind: Bytes of the other weights that are used from the one multiplication with it on; None where it is used
            otherwise.
    """

    name: str
    bytes: int
    lookups: int = 0
    others: int = 0
    stays: str = ""
    fused_with: str = ""
    behind: int | None = None


@dataclass(frozen=True)
class Choice:
    """What is taken out of a method's engine.

    Args:
        tables: Weights that become constants of the program.
        head: The weight that gets an engine of its own, or None.
        notes: What a log should say: why large weights stay, and which tables are tied.
    """

    tables: tuple[str, ...] = ()
    head: str | None = None
    notes: tuple[str, ...] = ()


def choose(weights: Sequence[Weight], options: StreamingOptions) -> Choice:
    """Decides.

    Args:
        weights: All of a method, in any order.
        options: The steps to take, and from which sizes on.

    Returns:
        The choice. A table is one that has at least `min_table_bytes` and whose lookups the CPU can do. A tied table
        (looked up, and multiplied with) is one too: the copy on the host costs room in the file and no memory but for
        the rows that are looked up, while the engine would move all of it for them. The head
        is the largest weight as TensorRT fuses them, once the tables are gone, if it has at least `min_head_bytes`, no
        other is as large, and next to nothing follows it.
    """
    notes: list[str] = []
    tables = []
    for each in weights:
        if not options.host_tables or not each.lookups or each.bytes < options.min_table_bytes:
            continue
        if each.stays:
            notes.append(f"table {each.name!r} of {each.bytes} bytes stays in the engine: {each.stays}")
            continue
        if each.others:
            notes.append(
                f"table {each.name!r} of {each.bytes} bytes is used in other ways too (tied): there are two copies of "
                "it, one in the engine"
            )
        tables.append(each.name)
    head = None
    units = fused(weights, without=tables)
    if options.head_engine and units:
        largest = max(units, key=lambda unit: unit[1])
        alone = [each for each in weights if each.name == largest[0]]
        rivals = [unit for unit in units if unit is not largest and unit[1] >= largest[1]]
        if alone and alone[0].others and largest[1] >= options.min_head_bytes and not rivals:
            head = _head(alone[0], notes)
    return Choice(tuple(tables), head, tuple(notes))


def _head(weight: Weight, notes: list[str]) -> str | None:
    why = ""
    if weight.behind is None:
        why = "it is not just the matrix of one multiplication"
    elif weight.behind * _SMALL_PART > weight.bytes:
        why = f"{weight.behind} bytes of other weights are used behind it"
    if why:
        notes.append(f"the largest weight, {weight.name!r} of {weight.bytes} bytes, stays in the engine: {why}")
        return None
    return weight.name


def fused(weights: Iterable[Weight], without: Iterable[str] = ()) -> list[tuple[str, int]]:
    """Weights as an engine has them.

    Args:
        weights: Of a method.
        without: Tables that are not in the engine: nothing of them is, unless they are used in another way too.

    Returns:
        Name and bytes of each, the largest first: weights that are fused are one, with their names joined by " + "; a
        tied weight counts for each of its uses, as a table and as a matrix, although a plan stores it once.
    """
    gone = set(without)
    units: dict[str, tuple[str, int]] = {}
    for each in weights:
        if each.lookups and each.name not in gone:
            name = each.name if not each.others else f"{each.name} (table)"
            units[f"table {each.name}"] = (name, each.bytes)
        if each.others or not each.lookups:
            key = f"fused {each.fused_with}" if each.fused_with else f"alone {each.name}"
            name, size = units.get(key, ("", 0))
            units[key] = (f"{name} + {each.name}" if name else each.name, size + each.bytes)
    return sorted(units.values(), key=lambda unit: -unit[1])


def scratch(units: Sequence[tuple[str, int]]) -> int:
    """What streaming needs on the device beside the budget, by the largest weights of an engine: an estimate.

    Args:
        units: From `fused`.

    Returns:
        Bytes: the sum of the two largest.

    Source:
        TensorRT-RTX 1.6.1 reports for a decoder of Llama 3 8B's shape 2.10 GB with a table and a head of 1.05 GB each,
        and 0.47 GB with neither, where the largest fused weights have 235 MB (benchmarks/results/decoder-h200-8b.json);
        without the table alone it was 1.29 GB (seen on an H100).
    """
    return sum(size for _, size in sorted(units, key=lambda unit: -unit[1])[:2])

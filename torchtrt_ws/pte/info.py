"""What a .pte was found to hold, as values: methods, engines, budgets. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torchtrt_ws import blob, budget
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.identifiers import BACKEND_ID, TARGET_DEVICE_KEY

__all__ = ["CompileSpec", "EngineInfo", "MethodInfo", "ProgramInfo", "TensorInfo", "ValueInfo"]


@dataclass(frozen=True)
class ValueInfo:
    """An input or output of a method. Only a tensor has dtype and shape; a dynamic shape is its upper bound.

    `name` is None where the file does not record it. `device` is where the program wants it, or leaves it: "cuda:0", or
    None for host memory. `planned` says that it is in memory that the program plans.
    """

    type: str
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    dynamic: bool = False
    name: str | None = None
    device: str | None = None
    planned: bool = False


@dataclass(frozen=True)
class MethodInfo:
    """An entry point of the program."""

    name: str
    inputs: tuple[ValueInfo, ...]
    outputs: tuple[ValueInfo, ...]

    def as_dict(self) -> dict[str, Any]:
        """The method as `inspect --json` prints it."""
        sides = {"inputs": self.inputs, "outputs": self.outputs}
        return {"name": self.name, **{side: [_plain(each) for each in values] for side, values in sides.items()}}


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of an engine. Torch-TensorRT records names only: the rest is then None.

    -1 in `shape` is a dynamic dimension; `min` and `max` are its bounds.
    """

    name: str
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    min: tuple[int, ...] | None = None
    max: tuple[int, ...] | None = None


@dataclass(frozen=True)
class CompileSpec:
    """One compile spec of an engine."""

    key: str
    value: bytes

    @property
    def text(self) -> str | None:
        """The value, if it is text that can be printed; None for other bytes."""
        try:
            text = self.value.decode("utf-8")
        except UnicodeDecodeError:
            return None
        return text if text.isprintable() else None

    def as_dict(self) -> dict[str, Any]:
        """The spec as `inspect --json` prints it: `hex` is the value that is no `text`."""
        hexadecimal = None if self.text is not None else self.value.hex()
        return {"key": self.key, "bytes": len(self.value), "text": self.text, "hex": hexadecimal}


@dataclass(frozen=True)
class EngineInfo:
    """One engine of the program. Sizes and offsets are bytes; offsets count from the start of the file.

    `streamable_bytes` is None if it was not known at export, `sha256` and `crc32c` if the file does not record them,
    `baked_budget` if nothing is baked. `name` is engine0, engine1, ... (loading order) without our metadata. `builder`
    is what made the engine, with its version: as the file records it, else as the plan's own header tells; None where
    neither does. `same_plan_as` is the first engine whose bytes in the file are these; None: no engine before this one
    has them. `optimization_profiles` is empty if the file does not record them; each has all `inputs`, which are their
    hull.
    """

    name: str
    method: str
    kind: str
    builder: str | None
    engine_bytes: int
    streamable_bytes: int | None
    streamable_estimated: bool
    baked_budget: int | None
    sha256: str | None
    crc32c: str | None
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    optimization_profiles: tuple[blob.OptimizationProfile, ...]
    payload_offset: int
    payload_bytes: int
    engine_offset: int
    compile_specs: tuple[CompileSpec, ...]
    metadata: blob.Metadata
    same_plan_as: str | None = None

    @property
    def streaming(self) -> blob.StreamingFacts | None:
        """What the export did for streaming; None if the file does not record it."""
        return self.metadata.own.streaming if self.metadata.own else None

    @property
    def weights(self) -> blob.SeparateWeights | None:
        """The weights that it is stored without, and where they are; None if it has its own."""
        return self.metadata.own.weights if self.metadata.own else None

    @property
    def variants(self) -> tuple[blob.Variant, ...]:
        """Its plans for other GPUs or versions of TensorRT, where there are several: `engine_bytes` has them all."""
        return self.metadata.own.variants if self.metadata.own else ()

    @property
    def compute_capabilities(self) -> tuple[str, ...]:
        """The GPUs that its plan was built for, such as "8.9"; none where it is not known to be bound to some."""
        return self.metadata.own.compute_capabilities if self.metadata.own else ()

    @property
    def engine_key(self) -> str | None:
        """Where a data file has the engine, as Torch-TensorRT 2.15 may write it; None for one in the program."""
        return self.metadata.engine_key if self.engine_bytes == 0 else None

    @property
    def place(self) -> int | str:
        """Where its bytes are: their offset in the program, or the key of a data file."""
        return self.engine_key or self.engine_offset

    @property
    def whole_bytes(self) -> int:
        """Bytes of the engine with its weights, wherever they are stored."""
        return self.engine_bytes + (self.weights.nbytes if self.weights is not None else 0)

    @property
    def target_device(self) -> str | None:
        """Where the program plans the engine's inputs and outputs: the compile spec `target_device`, such as "cuda:0";
        None for host memory."""
        values = [spec.value for spec in self.compile_specs if spec.key == TARGET_DEVICE_KEY]
        return values[0].decode("utf-8", "backslashreplace") if values else None

    @property
    def other_specs(self) -> tuple[CompileSpec, ...]:
        """The compile specs that are neither the baked budget nor the target device."""
        return tuple(spec for spec in self.compile_specs if spec.key not in (budget.KEY, TARGET_DEVICE_KEY))

    def as_dict(self) -> dict[str, Any]:
        """The engine as `inspect --json` prints it, without its share of the program."""
        own = self.metadata.own
        return {
            "name": self.name,
            "method": self.method,
            "kind": self.kind,
            "builder": self.builder,
            "engine_bytes": self.engine_bytes,
            "engine_offset": self.engine_offset,
            "streamable_bytes": self.streamable_bytes,
            "streamable_estimated": self.streamable_estimated,
            "baked_budget": self.baked_budget,
            "sha256": self.sha256,
            "crc32c": self.crc32c,
            "same_plan_as": self.same_plan_as,
            "target_device": self.target_device,
            "device_id": self.metadata.device_id,
            "target_platform": self.metadata.target_platform or None,
            "hardware_compatible": self.metadata.hardware_compatible,
            "compile_specs": [spec.as_dict() for spec in self.compile_specs],
            "inputs": [_plain(tensor) for tensor in self.inputs],
            "outputs": [_plain(tensor) for tensor in self.outputs],
            "aliased_io": [asdict(alias) for alias in self.metadata.aliased_io],
            "optimization_profiles": [
                {each.name: {"min": list(each.min), "opt": list(each.opt), "max": list(each.max)} for each in profile}
                for profile in self.optimization_profiles
            ],
            "nested_method": own.nested_method if own else None,
            "keeps_state": own.keeps_state if own else None,
            "state": [{**asdict(each), "shape": list(each.shape)} for each in own.state] if own else [],
            "serialized_metadata_bytes": len(self.metadata.serialized_metadata.encode("utf-8", "surrogatepass")),
            "streaming": None if self.streaming is None else _plain(self.streaming),
            "weights": None if self.weights is None else _weights(self.weights),
            "engine_key": self.engine_key,
            "compute_capabilities": list(self.compute_capabilities),
            "variants": [_variant(each) for each in self.variants],
        }


@dataclass(frozen=True)
class ProgramInfo:
    """What `read` found. `other_backends` counts the delegates of each backend that is not ours.

    `has_room`: `set_budget` changes any budget in place. `external_tensors` are what the program itself takes from data
    files (.ptd); `data_files` are those beside it that a load would take, and `data_problem` is what it would refuse
    with instead. `signature` is the signature file beside the program, which was not looked into. The last three are
    empty where only an open file was read.
    """

    file: str
    bytes: int
    methods: tuple[MethodInfo, ...]
    engines: tuple[EngineInfo, ...]
    other_backends: dict[str, int]
    has_room: bool = False
    external_tensors: tuple[str, ...] = ()
    data_files: tuple[str, ...] = ()
    data_problem: str | None = None
    signature: str | None = None

    @property
    def streamable_bytes(self) -> int | None:
        """Of all engines, those on the same weights once; None if it is not known of one of them, or there are none."""
        sizes = [each.streamable_bytes for each in self.engine_sizes() if each.weights_of is None]
        known = [size for size in sizes if size is not None]
        return sum(known) if known and len(known) == len(sizes) else None

    @property
    def streamable_estimated(self) -> bool:
        """True if the streamable bytes of an engine are an estimate."""
        return any(each.streamable_estimated for each in self.engines)

    def streamable_percent(self) -> tuple[float | None, ...]:
        """For each engine its share of the program's streamable bytes: 0 to 100, two decimals.

        None for an engine on another one's weights, and for all where the sum is not known, or 0.
        """
        total = self.streamable_bytes
        if not total:
            return (None,) * len(self.engines)
        return tuple(
            None
            if each.weights_of is not None or each.streamable_bytes is None
            else round(100 * each.streamable_bytes / total, 2)
            for each in self.engine_sizes()
        )

    @property
    def names_in_data_files(self) -> frozenset[str]:
        """What a load looks for in data files by name: tensors of the program, and whole engines. Weights are apart."""
        return frozenset(self.external_tensors).union(each.engine_key for each in self.engines if each.engine_key)

    def as_dict(self) -> dict[str, Any]:
        """The report as `inspect --json` prints it: sizes are integer bytes, unknown is None."""
        shares = zip(self.engines, self.streamable_percent(), strict=True)
        return {
            "file": self.file,
            "bytes": self.bytes,
            "streamable_bytes": self.streamable_bytes,
            "streamable_estimated": self.streamable_estimated,
            "methods": [method.as_dict() for method in self.methods],
            "engines": [{**engine.as_dict(), "streamable_percent": share} for engine, share in shares],
            "other_backends": dict(self.other_backends),
            "has_room": self.has_room,
            "external_tensors": list(self.external_tensors),
            "data_files": list(self.data_files),
            "data_problem": self.data_problem,
            "signature": self.signature,
        }

    def engine_sizes(self) -> list[budget.EngineSize]:
        """The engines as budgets are split over them: those that run on the same weights, once they are loaded, have
        one."""
        first: dict[tuple[object, ...], str] = {}
        sizes = []
        for each in self.engines:
            weights = (each.place, each.engine_bytes, each.kind, each.metadata.device_id, each.weights)
            other = first.setdefault(weights, each.name)
            weights_of = None if other == each.name else other
            whole = each.streaming is not None and each.streaming.part == "head"
            size = budget.EngineSize(each.name, each.streamable_bytes, each.streamable_estimated, weights_of, whole)
            sizes.append(size)
        return sizes

    def method(self, name: str | None = None) -> MethodInfo:
        """One of its methods.

        Args:
            name: Its name; None is the one that calling the program runs: "forward", or the only one.

        Returns:
            The method.

        Raises:
            ProgramError: No such method.
        """
        chosen, name = name is not None, name or (self.methods[0].name if len(self.methods) == 1 else "forward")
        for method in self.methods:
            if method.name == name:
                return method
        names = ", ".join(method.name for method in self.methods) or "none: it has no methods"
        if chosen:
            raise ProgramError(self.file, f"a call of method {name!r}", f"one of {names}", "Mend the name.")
        raise ProgramError(self.file, f"no method {name!r}", f"one of {names}", "Say which (--method, method=).")

    def require_engines(self) -> None:
        """Refuses a program without engines, and says whose program it is.

        Raises:
            ProgramError: No delegate of the backend `TensorRTBackend`.
        """
        if not self.engines:
            others = ", ".join(f"{name} ({count})" for name, count in self.other_backends.items())
            found = f"delegates of other backends only: {others}" if others else "no delegates"
            raise ProgramError(
                self.file, found, f"an engine of backend {BACKEND_ID}", "Save the model with torchtrt_ws.save."
            )


def _variant(variant: blob.Variant) -> dict[str, Any]:
    weights = None if variant.weights is None else list(variant.weights)
    return {**asdict(variant), "compute_capabilities": list(variant.compute_capabilities), "weights": weights}


def _weights(weights: blob.SeparateWeights) -> dict[str, Any]:
    tensors = [{**asdict(each), "shape": each.shape and list(each.shape)} for each in weights.tensors]
    return {"file": weights.file, "bytes": weights.nbytes, "tensors": tensors}


def _plain(value: TensorInfo | ValueInfo | blob.StreamingFacts) -> dict[str, Any]:
    return {key: list(item) if isinstance(item, tuple) else item for key, item in asdict(value).items()}

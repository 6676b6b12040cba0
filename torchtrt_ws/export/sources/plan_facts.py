"""What only TensorRT itself can say about a plan: its inputs and outputs, and how much of it can be streamed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torchtrt_ws.blob import OptimizationProfile, ProfileBounds, TensorFacts
from torchtrt_ws.dtypes import FROM_TENSORRT
from torchtrt_ws.errors import EngineError, ProgramError
from torchtrt_ws.export.sources.weights import MissingWeight
from torchtrt_ws.identifiers import RTX_MAGIC

if TYPE_CHECKING:
    from torchtrt_ws.export.engine.payload import BufferPayload, FilePayload, SlicePayload

__all__ = ["CannotAskError", "PlanFacts", "deserialized", "read", "read_missing"]


@dataclass(frozen=True)
class PlanFacts:
    """What an engine says. `streamable_bytes` is exact."""

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    streamable_bytes: int
    optimization_profiles: tuple[OptimizationProfile, ...] = ()


def read_missing(subject: str, payload: BufferPayload | FilePayload | SlicePayload) -> tuple[MissingWeight, ...]:
    """Deserializes a plan and asks which weights it was built without.

    Args:
        subject: What an error names.
        payload: The plan.

    Returns:
        What it misses: at least one.

    Raises:
        CannotAskError: No TensorRT for this plan, no GPU, or a plan that TensorRT refuses.
        ProgramError: A plan that has its weights.

    Source:
        IRefitter and EngineStat, NvInferRuntime.h. Seen with TensorRT-RTX 1.6.1: IRefitter::getMissingWeights names
        none of a plan built with STRIP_PLAN and REFIT_IDENTICAL, refits it without any, and it computes garbage.
    """
    try:
        trt, engine, logger = deserialized(subject, payload)
    except EngineError as error:
        raise CannotAskError(error.subject, error.found, error.expected, error.next_step) from None
    refitter = trt.Refitter(engine, logger) if _stripped(trt, engine, payload.size) else None
    names = list(refitter.get_all_weights()) if refitter is not None else []
    if not names:
        found = "a plan that has its weights"
        next_step = "Leave weights= out, or build it with STRIP_PLAN and REFIT_IDENTICAL."
        raise ProgramError(f"{subject}, weights", found, "one that was built without them", next_step)
    assert refitter is not None, "it named them"
    prototypes = {name: refitter.get_weights_prototype(name) for name in names}
    return tuple(
        MissingWeight(name, FROM_TENSORRT.get(each.dtype.name, each.dtype.name), int(each.size))
        for name, each in prototypes.items()
    )


class CannotAskError(EngineError):
    """There is no TensorRT here that can read the plan."""


def read(subject: str, payload: BufferPayload | FilePayload | SlicePayload, stripped: bool = False) -> PlanFacts:
    """Deserializes a plan and asks.

    Args:
        subject: What an error names.
        payload: The plan.
        stripped: Whether it may be without its weights.

    Returns:
        The facts; bounds are the hull of all optimization profiles.

    Raises:
        EngineError: No TensorRT for this plan, no GPU, a plan that TensorRT refuses or that has no weights, or tensors
            that a delegate cannot have.

    Source:
        ICudaEngine and IRefitter, NvInferRuntime.h.
    """
    trt, engine, logger = deserialized(subject, payload)
    if not stripped:
        _check_weights(subject, trt, engine, logger, payload.size)
    inputs: list[TensorFacts] = []
    outputs: list[TensorFacts] = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        (inputs if is_input else outputs).append(_facts(subject, engine, name, is_input))
    bounded = tuple(_output(subject, output, inputs) for output in outputs)
    profiles: tuple[OptimizationProfile, ...] = ()
    if any(-1 in tensor.shape for tensor in inputs):
        count = range(engine.num_optimization_profiles)
        profiles = tuple(tuple(_in_profile(engine, tensor, index) for tensor in inputs) for index in count)
    return PlanFacts(tuple(inputs), bounded, int(engine.streamable_weights_size), profiles)


def deserialized(subject: str, payload: BufferPayload | FilePayload | SlicePayload) -> tuple[Any, Any, Any]:
    """Reads a plan.

    Args:
        subject: What an error names.
        payload: The plan.

    Returns:
        The module of TensorRT, the engine, and the logger that it needs as long as it lives.

    Raises:
        EngineError: No TensorRT for this plan, no GPU, or a plan that TensorRT refuses.
    """
    trt = _tensorrt(subject, payload.head.startswith(RTX_MAGIC))
    logger = trt.Logger(trt.Logger.ERROR)
    plan = bytearray()
    payload.write_to(_Appender(plan))
    try:
        engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
    except Exception as error:  # the bindings raise what pybind makes of it
        raise _refused(subject, str(error)) from None
    if engine is None:
        raise _refused(subject, "TensorRT does not read it here; its log says why")
    return trt, engine, logger


class _Appender:
    def __init__(self, plan: bytearray) -> None:
        self._plan = plan

    def write(self, data: Any, /) -> int:
        self._plan += data
        return memoryview(data).nbytes


def _tensorrt(subject: str, is_rtx: bool) -> Any:
    name = "tensorrt_rtx" if is_rtx else "tensorrt"
    try:
        module = importlib.import_module(name)
        if getattr(module, "__file__", "") is None:  # a folder of that name, which Python takes for a package
            raise ImportError(f"{next(iter(module.__path__))} is a folder without a module")
        return module
    except ImportError as error:
        raise EngineError(
            subject, f"no module {name!r} ({error})", "TensorRT and a GPU, to read inputs and outputs from the plan"
        ) from None


def _refused(subject: str, words: str) -> EngineError:
    return EngineError(subject, words, "TensorRT and a GPU that run this plan, to read its inputs and outputs")


def _stripped(trt: Any, engine: Any, size: int) -> bool:
    """Whether the engine of a plan of `size` bytes is without its weights. `engine.refittable` does not tell: it is
    False for a plan of STRIP_PLAN and REFIT_IDENTICAL (TensorRT-RTX 1.6.1)."""
    if int(engine.streamable_weights_size) // 2 > size:
        return True
    if not hasattr(engine, "get_engine_stat"):  # of an older TensorRT
        return False
    return int(engine.get_engine_stat(trt.EngineStat.STRIPPED_WEIGHTS_SIZE)) > 0


def _check_weights(subject: str, trt: Any, engine: Any, logger: Any, size: int) -> None:
    if _stripped(trt, engine, size):
        names = list(trt.Refitter(engine, logger).get_all_weights())
        raise EngineError(
            subject,
            f"a plan that was stripped of its weights: {len(names)} are missing, such as {names[0]!r}",
            "a plan with its weights",
            "Give its weights: save_plan(weights=...); or refit and serialize it without the EXCLUDE_WEIGHTS flag.",
        )


def _facts(subject: str, engine: Any, name: str, is_input: bool) -> TensorFacts:
    dtype = FROM_TENSORRT.get(engine.get_tensor_dtype(name).name)
    if dtype is None or engine.is_shape_inference_io(name):
        found = "a shape tensor" if dtype else f"dtype {engine.get_tensor_dtype(name).name}"
        raise EngineError(f"{subject}, tensor {name!r}", found, "data of " + ", ".join(FROM_TENSORRT.values()))
    shape = tuple(engine.get_tensor_shape(name))
    if not is_input or -1 not in shape:
        return TensorFacts(name, dtype, shape, shape, shape)
    shapes = [engine.get_tensor_profile_shape(name, index) for index in range(engine.num_optimization_profiles)]
    low = tuple(map(min, zip(*(bounds[0] for bounds in shapes), strict=True)))
    high = tuple(map(max, zip(*(bounds[2] for bounds in shapes), strict=True)))
    return TensorFacts(name, dtype, tuple(a if a == b else -1 for a, b in zip(low, high, strict=True)), low, high)


def _in_profile(engine: Any, tensor: TensorFacts, index: int) -> ProfileBounds:
    if -1 not in tensor.shape:
        return ProfileBounds(tensor.name, tensor.shape, tensor.shape, tensor.shape)
    low, best, high = (tuple(dims) for dims in engine.get_tensor_profile_shape(tensor.name, index))
    return ProfileBounds(tensor.name, low, best, high)


def _output(subject: str, output: TensorFacts, inputs: list[TensorFacts]) -> TensorFacts:
    """Plans have no bounds for outputs: a dynamic dimension takes the only dynamic input range."""
    if -1 not in output.shape:
        return output
    ranges = {
        (low, high)
        for tensor in inputs
        for size, low, high in zip(tensor.shape, tensor.min, tensor.max, strict=True)
        if size == -1
    }
    if len(ranges) != 1:
        raise EngineError(
            f"{subject}, output {output.name!r}",
            f"dynamic dimensions, and {len(ranges)} ranges of input dimensions",
            "one range, to tell the output's bounds",
        )
    ((low, high),) = ranges
    lows = tuple(low if size == -1 else size for size in output.shape)
    highs = tuple(high if size == -1 else size for size in output.shape)
    return TensorFacts(output.name, output.dtype, output.shape, lows, highs)

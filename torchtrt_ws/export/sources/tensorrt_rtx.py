"""The source of TensorRT-RTX engines that are built ahead of time, without a GPU: a method to ONNX, to a plan.

Source: TensorRT-RTX 1.6, `NvInfer.h` (IBuilder, IBuilderConfig, IOptimizationProfile) and `NvOnnxParser.h`.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from torchtrt_ws.blob import OptimizationProfile, ProfileBounds, StateTensor, TensorFacts
from torchtrt_ws.dtypes import TO_TENSORRT
from torchtrt_ws.errors import EngineError, ProgramError
from torchtrt_ws.export.engine.built_engine import BuiltEngine
from torchtrt_ws.export.engine.plan_writer import PlanWriter
from torchtrt_ws.export.engine.weight import Weight
from torchtrt_ws.export.graph.state import state_names
from torchtrt_ws.export.sources.gpu import has_gpu
from torchtrt_ws.export.sources.onnx_model import INSTALL, OnnxModel, write_onnx
from torchtrt_ws.export.sources.onnx_origin import origin_of, text_origins
from torchtrt_ws.export.sources.onnx_weights import Stored, address
from torchtrt_ws.identifiers import TENSORRT
from torchtrt_ws.plan_header import compute_capabilities_of
from torchtrt_ws.platforms import this_platform

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from torchtrt_ws.export.engine.payload import FilePayload
    from torchtrt_ws.export.graph.interface import Interface
    from torchtrt_ws.export.graph.state import State

__all__ = [
    "build",
    "build_plan",
    "check_for_refit",
    "check_for_separate",
    "import_tensorrt_rtx",
    "read_compute_capabilities",
]

_LOG = logging.getLogger(__name__)
_OVERHEAD = 64 << 20  # bytes that a plan may have beside its weights


def build(
    name: str,
    program: ExportedProgram,
    interface: Interface,
    compute_capabilities: Sequence[str] | None = None,
    device_id: int = 0,
    profiles: Sequence[OptimizationProfile] | None = None,
    states: Sequence[State] = (),
    folder: Path | None = None,
    separate: bool = False,
    refit: bool = False,
    use_fp32_acc: bool = True,
) -> BuiltEngine:
    """Builds the engine of a method.

    Beside the module's weights the builder holds them once. The plan goes to a file without a name while it is built.

    Args:
        name: The engine's name.
        program: The method; not modified.
        interface: Its inputs and outputs, state among them.
        compute_capabilities: Such as ["8.6", "8.9"]; None leaves it to TensorRT-RTX.
        device_id: What the blob says.
        profiles: The optimization profiles, within the bounds of `interface`; None for one with these bounds.
        states: Which of `interface` the engine keeps from call to call.
        folder: Where the plan's file lies; None for the system's folder of temporary files.
        separate: Whether it is without its weights.
        refit: Whether it takes other weights while it is loaded.
        use_fp32_acc: Whether products of float16 weights are summed in float32.

    Returns:
        The engine; what it takes and gives is without its state. Its streamable bytes are those of the model's
        weights: an estimate, since not all may be streamed.

    Raises:
        EngineError: TensorRT-RTX, onnx or onnxscript is not installed, or TensorRT-RTX cannot build this method; or
            with `separate` or `refit`, there is no GPU here.
        ProgramError: A method that torch.onnx.export refuses, a dtype that TensorRT does not have, a compute
            capability it does not know, or no room for the plan.
    """
    trt = import_tensorrt_rtx()
    read_compute_capabilities(trt, compute_capabilities)
    if separate:
        check_for_separate()
    if refit:
        check_for_refit()
    for tensor in (*interface.inputs, *interface.outputs):
        if tensor.dtype not in TO_TENSORRT:
            raise ProgramError(
                f"method {name!r}, tensor {tensor.name!r}",
                f"dtype {tensor.dtype}",
                f"one that TensorRT has: {', '.join(TO_TENSORRT)}",
                "Convert it in the module.",
            )
    with tempfile.TemporaryDirectory(prefix="torchtrt-ws-") as scratch:
        model = write_onnx(name, program, interface, Path(scratch), use_fp32_acc)
        profiles = _whole(interface.inputs) if profiles is None else tuple(profiles)
        payload = build_plan(name, model, interface, compute_capabilities, profiles, folder, separate, refit)
        weights = _weights(name, payload, model) if separate else ()
    if use_fp32_acc and len(profiles) < 2:  # each further one has kernels and weights of its own
        _check_size(name, payload.size, model.weight_bytes)
    streamable = min(model.weight_bytes, payload.size + sum(each.payload.size for each in weights))
    of_call = interface.without(state_names(states))
    facts = {tensor.name: tensor for tensor in interface.inputs}
    return BuiltEngine(
        name=name,
        kind=TENSORRT,
        builder=f"tensorrt-rtx {trt.__version__}",
        payload=payload,
        inputs=of_call.inputs,
        outputs=of_call.outputs,
        streamable_bytes=streamable,
        streamable_estimated=streamable > 0,
        device_id=device_id,
        target_platform=this_platform(),  # that of the build: no other was asked of the builder
        optimization_profiles=tuple(
            tuple(each for each in profile if any(each.name == tensor.name for tensor in of_call.inputs))
            for profile in profiles
        ),
        keeps_state=bool(states),
        state=tuple(
            StateTensor(each.input, each.output, facts[each.input].dtype, facts[each.input].shape) for each in states
        ),
        weights=weights,
        compute_capabilities=_built_for(payload, compute_capabilities),
    )


def _built_for(payload: FilePayload, asked: Sequence[str] | None) -> tuple[str, ...]:
    """As the plan tells; else what was asked for. A plan of which nothing was asked is not bound to some GPUs."""
    told = compute_capabilities_of(payload.head)
    if told or asked is None:
        return told
    if list(asked) != ["current"]:
        return tuple(dict.fromkeys(asked))
    import torch  # not at the top: only this asks it for a GPU

    return (".".join(map(str, torch.cuda.get_device_capability())),) if torch.cuda.is_available() else ()


def _weights(name: str, payload: FilePayload, model: OnnxModel) -> tuple[Weight, ...]:
    """What the plan misses, from the model that it was built from."""
    from torchtrt_ws.export.sources import plan_facts, weights  # not at the top: few engines are without theirs

    subject = f"method {name!r}"
    found = weights.from_onnx(subject, model.path, model.weights)
    return weights.checked(subject, found, plan_facts.read_missing(subject, payload))


def _check_size(name: str, size: int, weight_bytes: int) -> None:
    """Says where TensorRT-RTX keeps weights in float32: `onnx_accumulation` knows the networks where it was seen to."""
    if size > weight_bytes + max(_OVERHEAD, weight_bytes // 4):
        text = "method %r: a plan of %d bytes for %d bytes of weights; if use_fp32_acc=False makes it smaller, use that"
        _LOG.warning(text, name, size, weight_bytes)


def check_for_separate() -> None:
    """Refuses to build engines without their weights where there is no GPU: before minutes of work, not after.

    Raises:
        EngineError: There is none.

    Source:
        Seen with TensorRT-RTX 1.6.1: STRIP_PLAN and REFIT_IDENTICAL run kernels while they build.
    """
    if not has_gpu():
        raise EngineError(
            'weights="separate"',
            'no NVIDIA GPU for engine="tensorrt_rtx"',
            "a GPU: TensorRT-RTX builds engines without their weights (STRIP_PLAN) only where there is one",
            "Save it on a machine with a GPU; or build the plan there and give save_plan(plan, path, weights=...) "
            'here; or leave weights="separate" out.',
        )


def check_for_refit() -> None:
    """Refuses to build engines for other weights where there is no GPU.

    Raises:
        EngineError: There is none.

    Source:
        Seen with TensorRT-RTX 1.6.1: REFIT runs kernels while it builds.
    """
    if not has_gpu():
        raise EngineError(
            "refit=True",
            'no NVIDIA GPU for engine="tensorrt_rtx"',
            "a GPU: TensorRT-RTX builds engines for other weights (REFIT) only where there is one",
            "Save it on a machine with a GPU; or build the plan there and give save_plan(plan, path) here.",
        )


def build_plan(
    name: str,
    model: OnnxModel,
    interface: Interface,
    compute_capabilities: Sequence[str] | None = None,
    profiles: Sequence[OptimizationProfile] = (),
    folder: Path | None = None,
    separate: bool = False,
    refit: bool = False,
) -> FilePayload:
    """Builds a plan with weight streaming from an ONNX model.

    Args:
        name: The method's name, for errors.
        model: The model; its tensors have the names of `interface`.
        interface: The method's inputs and outputs.
        compute_capabilities: As for `build`.
        profiles: The optimization profiles; none for a method without dynamic dimensions.
        folder: As for `build`.
        separate: Whether the plan is without its weights, which it then takes back as they are (REFIT_IDENTICAL; with
            plain REFIT it would be built for any weights, and TensorRT may then leave out a bias).
        refit: Whether it takes any weights (REFIT).

    Returns:
        The plan, in a file without a name.

    Raises:
        EngineError: TensorRT-RTX cannot parse or build it, or builds it with other inputs and outputs.
        ProgramError: No room for the plan.
    """
    trt = import_tensorrt_rtx()
    log = _log(trt)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    kept = _load(parser, model)  # the network points to them, until the plan is there
    if not parser.parse_model_proto():
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        raise _refused(name, "parse", [_parser_words(model, each) for each in errors] or log.errors)
    _check_tensors(name, trt, network, interface)
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.WEIGHT_STREAMING)
    if separate:
        config.set_flag(trt.BuilderFlag.STRIP_PLAN)
    if separate or refit:
        config.set_flag(trt.BuilderFlag.REFIT if refit else trt.BuilderFlag.REFIT_IDENTICAL)
    _set_compute_capabilities(trt, config, compute_capabilities)
    for profile in profiles:
        _add_profile(name, builder, config, profile, log)
    with PlanWriter(folder) as plan:
        if not builder.build_serialized_network_to_stream(network, config, _stream(trt, plan)):
            plan.check()
            named = [f"in {each}" for each in text_origins(model.path, model.lines, "\n".join(log.errors))]
            raise _refused(name, "build", [*named, *log.errors])
        del kept
        return plan.payload()


def import_tensorrt_rtx() -> Any:
    """The module tensorrt_rtx.

    Raises:
        EngineError: It is not installed.
    """
    try:
        import tensorrt_rtx
    except ImportError as error:
        raise EngineError('engine="tensorrt_rtx"', str(error), "TensorRT-RTX's Python package", INSTALL) from None
    return tensorrt_rtx


def read_compute_capabilities(trt: Any, given: Sequence[str] | None) -> list[Any]:
    """Reads the keyword `compute_capabilities`.

    Args:
        trt: The module tensorrt_rtx.
        given: Such as ["8.6", "8.9"], or ["current"] for the GPU of this machine.

    Returns:
        Members of trt.ComputeCapability; none for None.

    Raises:
        ProgramError: An empty list, something else, or one that TensorRT-RTX does not know.
    """
    if given is None:
        return []
    known = {
        "current" if name == "CURRENT" else f"{name[2:-1]}.{name[-1]}": member
        for name, member in trt.ComputeCapability.__members__.items()
        if name != "NONE"
    }
    wanted = [] if isinstance(given, str) else list(given)
    if not wanted or any(each not in known for each in wanted) or ("current" in wanted and len(wanted) > 1):
        raise ProgramError(
            "compute_capabilities",
            repr(given),
            f'a list of some of {", ".join(known)} ("current" alone), as TensorRT-RTX {trt.__version__} knows them',
            "Leave it out for an engine that is not bound to some GPUs.",
        )
    return [known[each] for each in dict.fromkeys(wanted)]


def _set_compute_capabilities(trt: Any, config: Any, given: Sequence[str] | None) -> None:
    wanted = read_compute_capabilities(trt, given)
    if wanted:
        config.num_compute_capabilities = len(wanted)
    for index, each in enumerate(wanted):
        config.set_compute_capability(each, index)


def _whole(inputs: Sequence[TensorFacts]) -> tuple[OptimizationProfile, ...]:
    """The one profile of inputs with dynamic dimensions. For the upper bounds: there a budget matters most."""
    if not any(-1 in tensor.shape for tensor in inputs):
        return ()
    return (tuple(ProfileBounds(tensor.name, tensor.min, tensor.max, tensor.max) for tensor in inputs),)


def _add_profile(name: str, builder: Any, config: Any, profile: OptimizationProfile, log: Any) -> None:
    made = builder.create_optimization_profile()
    for each in profile:
        made.set_shape(each.name, each.min, each.opt, each.max)
    if config.add_optimization_profile(made) < 0:
        raise _refused(name, "take an optimization profile of", log.errors)


def _check_tensors(name: str, trt: Any, network: Any, interface: Interface) -> None:
    """The engine must take and give what the blob says."""
    found = [network.get_input(index) for index in range(network.num_inputs)]
    given = [network.get_output(index) for index in range(network.num_outputs)]
    for what, tensors, facts in (("inputs", found, interface.inputs), ("outputs", given, interface.outputs)):
        there = sorted((tensor.name, tensor.dtype.name) for tensor in tensors)
        wanted = sorted((tensor.name, TO_TENSORRT[tensor.dtype]) for tensor in facts)
        if there != wanted:
            raise EngineError(
                f"method {name!r}, {what}",
                f"{there} after ONNX export",
                f"{wanted}",
                "Use every input, and return each tensor once.",
            )


def _load(parser: Any, model: OnnxModel) -> list[Stored]:
    """Gives the parser the model, and where its large weights are. What it refuses, parsing says. Returns the weights,
    which must stay."""
    parser.load_model_proto(model.path.read_bytes(), str(model.path))
    kept: list[Stored] = []
    for name, weight in model.weights.items():
        if not isinstance(weight, np.ndarray):
            weight = weight.cpu().contiguous()  # itself, unless it is a view or on a device
        parser.load_initializer(name, address(weight), weight.nbytes)
        kept.append(weight)
    return kept


def _stream(trt: Any, plan: PlanWriter) -> Any:
    class Stream(trt.IStreamWriter):  # type: ignore[misc]  # the bindings have no types
        """A plan, piece by piece: in one piece it would be in memory once more."""

        def __init__(self) -> None:
            trt.IStreamWriter.__init__(self)  # pybind11 wants it called by name

        def write(self, data: bytes) -> int:
            return plan.write(data)

    return Stream()


def _log(trt: Any) -> Any:
    class Log(trt.ILogger):  # type: ignore[misc]  # the bindings have no types
        """Keeps errors for the exception; the rest goes to Python's logging."""

        def __init__(self) -> None:
            super().__init__()  # pybind11 wants it called by name
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)
            _LOG.debug("%s", message)

    return Log()


def _parser_words(model: OnnxModel, error: Any) -> str:
    """What the parser says, and of which operator of the module. Of some it says "false", and which check that was."""
    said = " ".join(str(error.desc()).split())
    origin = origin_of(model.path, model.lines, error.node(), said)
    if said in ("", "false"):
        said = f"{error.code().name} in {error.func()}"
    operator = error.node_operator()
    subject = " ".join(each for each in (operator, f"from {origin}" if origin else "") if each)
    return f"{subject}: {said}" if subject else said


def _refused(name: str, step: str, words: Sequence[str]) -> EngineError:
    shown = "; ".join(" ".join(each.split())[:300] for each in words[:3]) or "it gives no reason"
    return EngineError(
        f"method {name!r}",
        f"TensorRT-RTX cannot {step} it: {shown}",
        "operators, dtypes and shapes that TensorRT-RTX takes",
        "Change that part of the module; logging.DEBUG for torchtrt_ws shows all that TensorRT-RTX said.",
    )

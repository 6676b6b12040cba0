"""Plans without their weights, and with them again, as TensorRT makes the one of the other. Needs a GPU.

Source:
    ICudaEngine, ISerializationConfig and IRefitter, NvInferRuntime.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from torchtrt_ws.errors import EngineError
from torchtrt_ws.export.engine.payload import BufferPayload, FilePayload, SlicePayload
from torchtrt_ws.export.sources import plan_facts

__all__ = ["with_weights", "without_weights"]


def without_weights(subject: str, payload: BufferPayload | FilePayload | SlicePayload) -> BufferPayload:
    """Serializes a plan without its weights.

    Args:
        subject: What an error names.
        payload: A plan that can be refitted.

    Returns:
        The smaller plan.

    Raises:
        EngineError: No TensorRT for this plan, no GPU, or a plan that was not built to be refitted.
    """
    trt, engine, logger = plan_facts.deserialized(subject, payload)
    if not list(trt.Refitter(engine, logger).get_all_weights()):  # `refittable` is False for REFIT_IDENTICAL
        raise EngineError(
            subject,
            "a plan that cannot be refitted: it could not take its weights back",
            "one that was built with STRIP_PLAN or REFIT_IDENTICAL",
            'Build it again: save(weights="separate"), or these flags.',
        )
    return _serialized(subject, trt, engine, without=True)


def with_weights(
    subject: str, payload: BufferPayload | FilePayload | SlicePayload, weights: Mapping[str, memoryview]
) -> BufferPayload:
    """Refits a plan and serializes it with its weights.

    Args:
        subject: What an error names.
        payload: A plan without its weights.
        weights: Name to bytes, of the engine's dtype.

    Returns:
        The whole plan.

    Raises:
        EngineError: No TensorRT for this plan, no GPU, weights that the engine does not take, or one that it misses.
    """
    trt, engine, logger = plan_facts.deserialized(subject, payload)
    refitter = trt.Refitter(engine, logger)
    kept = []  # TensorRT reads them when it refits
    for name, data in weights.items():
        prototype = refitter.get_weights_prototype(name)
        values = np.frombuffer(data, np.uint8)
        kept.append(values)
        given = trt.Weights(prototype.dtype, values.ctypes.data, int(prototype.size))
        if values.nbytes != prototype.nbytes or not refitter.set_named_weights(name, given):
            found = f"{values.nbytes} bytes"
            raise EngineError(f"{subject}, weight {name!r}", found, f"{prototype.nbytes}, as the plan was built for")
    missing = [name for name in refitter.get_all_weights() if name not in weights]  # see plan_facts.read_missing
    if missing or not refitter.refit_cuda_engine():
        found = f"no weight {missing[0]!r}" if missing else "an engine that TensorRT does not refit; its log says why"
        raise EngineError(subject, found, "all weights that the plan was built without", "Save the program again.")
    return _serialized(subject, trt, engine, without=False)


def _serialized(subject: str, trt: Any, engine: Any, without: bool) -> BufferPayload:
    config = engine.create_serialization_config()
    (config.set_flag if without else config.clear_flag)(trt.SerializationFlag.EXCLUDE_WEIGHTS)
    plan = engine.serialize_with_config(config)
    if plan is None:
        found = "an engine that TensorRT does not serialize; its log says why"
        raise EngineError(subject, found, "a plan", "Build it again.")
    return BufferPayload(memoryview(plan))

"""What an engine's blob says of it."""

from __future__ import annotations

from torchtrt_ws import blob
from torchtrt_ws.export.engine.built_engine import BuiltEngine
from torchtrt_ws.export.engine.engine_blob import EngineBlob, ProgramShares
from torchtrt_ws.export.engine.payload import BufferPayload


def test_optimization_profiles_follow_the_order_of_the_inputs() -> None:
    def bounds(name: str, size: int) -> blob.ProfileBounds:
        return blob.ProfileBounds(name, (size,), (size,), (size,))

    inputs = tuple(blob.TensorFacts(name, "float32", (-1,), (1,), (8,)) for name in ("x", "z"))
    engine = BuiltEngine(
        "forward",
        "tensorrt",
        "a builder",
        BufferPayload(b"vtrt" + bytes(60)),
        inputs,
        (blob.TensorFacts("y", "float32", (1,), (1,), (1,)),),
        optimization_profiles=((bounds("x", 1), bounds("z", 2)), (bounds("x", 3), bounds("z", 4))),
    )
    whole = EngineBlob(engine, ProgramShares.of((engine,))).prefix((1, 0)) + b"vtrt" + bytes(60)
    own = blob.read(whole).metadata.own
    assert own is not None
    assert [tensor.name for tensor in own.inputs] == ["z", "x"]
    assert own.optimization_profiles == ((bounds("z", 2), bounds("x", 1)), (bounds("z", 4), bounds("x", 3)))

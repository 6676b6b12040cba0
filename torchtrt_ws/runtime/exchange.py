"""The short way of a call whose tensors are of one library with DLPack's exchange API, as torch has it: the native
module takes and makes them in C. Everything else is a `Transfer`, which comes to the same.
"""

from __future__ import annotations

from torchtrt_ws.runtime.native import _native
from torchtrt_ws.runtime.signature import Signature, TensorSpec

__all__ = ["exchange_path"]


def exchange_path(tensor_type: type, signature: Signature, device: int | None) -> _native.ExchangePath | None:
    """The way for tensors of one class.

    Args:
        tensor_type: The class itself: one that inherits the API may mean something else by it.
        signature: The method's.
        device: Where its engines are, as CUDA counts devices; None: on the host.

    Returns:
        None where there is none: the class has no such API, or not all tensors of the method are in one place.
    """
    if "__dlpack_c_exchange_api__" not in vars(tensor_type):
        return None
    specs = (*signature.inputs, *signature.outputs)
    on_host = all(spec.device == "cpu" for spec in specs)
    on_device = all(spec.device != "cpu" and not spec.planned for spec in specs)
    if not (on_host or on_device) or not all(spec.is_tensor for spec in specs):
        return None
    inputs, outputs = map(_declared, signature.inputs), map(_declared, signature.outputs)
    index = (device or 0) if on_device else -1
    try:
        return _native.ExchangePath(tensor_type, signature.method, [*inputs], [*outputs], index)
    except _native.Error:  # another major version of DLPack
        return None


def _declared(spec: TensorSpec) -> tuple[str, tuple[int, ...], bool, bool]:
    return spec.dtype, tuple(spec.shape or ()), spec.dynamic, spec.planned

"""Where a program's tensors live: in host memory, or where ExecuTorch plans delegate I/O on a device."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.identifiers import TARGET_DEVICE_KEY

if TYPE_CHECKING:
    from executorch.exir import ExecutorchBackendConfig

__all__ = ["HOST_MEMORY", "TARGET_DEVICE_KEY", "Placement", "read_device"]

_DEVICE = re.compile(r"cuda(?::([0-9]{1,4}))?")


@dataclass(frozen=True)
class Placement:
    """Where delegates' inputs and outputs live.

    Args:
        device: "cuda:N", or None for host memory, which works with any runtime.
        device_io: True if the method's own inputs and outputs are on the device too: no copies at its boundary.
    """

    device: str | None = None
    device_io: bool = False

    @property
    def device_id(self) -> int:
        """The number of the device; 0 without one."""
        return int(self.device.partition(":")[2]) if self.device else 0

    @property
    def spec(self) -> bytes | None:
        """The value of the compile spec `target_device`; None for none."""
        return self.device.encode("ascii") if self.device else None

    def config(self) -> ExecutorchBackendConfig:
        """How ExecuTorch plans the program's memory.

        Source:
            executorch/exir/passes/propagate_device_config.py (1.5.1): skipping the copies needs inputs and outputs that
            are not planned.
        """
        from executorch.exir import ExecutorchBackendConfig
        from executorch.exir.passes import MemoryPlanningPass
        from executorch.exir.passes.propagate_device_config import PropagateDeviceConfig

        if not self.device_io:
            return ExecutorchBackendConfig()
        return ExecutorchBackendConfig(
            memory_planning_pass=MemoryPlanningPass(alloc_graph_input=False, alloc_graph_output=False),
            propagate_device_config=PropagateDeviceConfig(
                skip_h2d_for_method_inputs=True, skip_d2h_for_method_outputs=True
            ),
        )


HOST_MEMORY = Placement()


def read_device(device: str | None, device_io: bool) -> Placement:
    """Reads the keywords `device` and `device_io`.

    Args:
        device: None or "cpu", "cuda", or "cuda:N".
        device_io: Whether the method's inputs and outputs are on the device.

    Returns:
        The placement; "cuda" is "cuda:0".

    Raises:
        ProgramError: Another device, or `device_io` without one.
    """
    if device in (None, "cpu"):
        if device_io:
            raise ProgramError("device_io", "True without a device", 'device="cuda:0"', "Give the device as well.")
        return HOST_MEMORY
    match = _DEVICE.fullmatch(device) if isinstance(device, str) else None
    if match is None:
        raise ProgramError("device", repr(device), 'None, "cpu", "cuda" or "cuda:N"', "Give one of these.")
    return Placement(f"cuda:{int(match[1] or 0)}", device_io)

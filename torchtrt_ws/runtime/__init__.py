"""Load programs and run them, with a budget chosen at load time. Imports neither torch nor executorch's Python."""

from torchtrt_ws.runtime.check import check
from torchtrt_ws.runtime.check_report import CheckReport, EngineCheck, Fact, IsolatedLoad
from torchtrt_ws.runtime.defaults import set_defaults
from torchtrt_ws.runtime.engine import Engine
from torchtrt_ws.runtime.last_event import last_event
from torchtrt_ws.runtime.load import load
from torchtrt_ws.runtime.native_logs import take_over
from torchtrt_ws.runtime.outputs import Outputs
from torchtrt_ws.runtime.program import Program
from torchtrt_ws.runtime.signature import Signature, TensorSpec
from torchtrt_ws.runtime.weight_streaming import WeightStreaming, weight_streaming

__all__ = [
    "CheckReport",
    "Engine",
    "EngineCheck",
    "Fact",
    "IsolatedLoad",
    "Outputs",
    "Program",
    "Signature",
    "TensorSpec",
    "WeightStreaming",
    "check",
    "last_event",
    "load",
    "set_defaults",
    "weight_streaming",
]

take_over()

"""Load programs and run them, with a budget chosen at load time. Imports neither torch nor executorch's Python."""

from torchtrt_ws.runtime.defaults import set_defaults
from torchtrt_ws.runtime.engine import Engine
from torchtrt_ws.runtime.load import load
from torchtrt_ws.runtime.program import Program
from torchtrt_ws.runtime.weight_streaming import WeightStreaming, weight_streaming

__all__ = ["Engine", "Program", "WeightStreaming", "load", "set_defaults", "weight_streaming"]

"""What is inside a .pte, without loading it. Pure: maps the file, and imports neither torch nor executorch."""

from torchtrt_ws.pte.info import CompileSpec, EngineInfo, MethodInfo, ProgramInfo, TensorInfo, ValueInfo, read

__all__ = ["CompileSpec", "EngineInfo", "MethodInfo", "ProgramInfo", "TensorInfo", "ValueInfo", "read"]

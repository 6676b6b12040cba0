"""What is inside a .pte, without loading it, and changes of what is baked into it. Pure: imports neither torch nor
executorch."""

from torchtrt_ws.pte.annotation import Annotation, annotate
from torchtrt_ws.pte.budget_change import BudgetChange, EngineChange, set_budget
from torchtrt_ws.pte.data_file import data_files_beside, external_names, names_in_data_file, no_data_file
from torchtrt_ws.pte.engine_digests import DigestReport, EngineDigest, check_digests
from torchtrt_ws.pte.info import CompileSpec, EngineInfo, MethodInfo, ProgramInfo, TensorInfo, ValueInfo
from torchtrt_ws.pte.read_program import read

__all__ = [
    "Annotation",
    "BudgetChange",
    "CompileSpec",
    "DigestReport",
    "EngineChange",
    "EngineDigest",
    "EngineInfo",
    "MethodInfo",
    "ProgramInfo",
    "TensorInfo",
    "ValueInfo",
    "annotate",
    "check_digests",
    "data_files_beside",
    "external_names",
    "names_in_data_file",
    "no_data_file",
    "read",
    "set_budget",
]

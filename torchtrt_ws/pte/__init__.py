"""What is inside a .pte, without loading it; how two differ; changes of what is baked into one. Pure: imports neither
torch nor executorch."""

from torchtrt_ws.pte.annotation import Annotation, annotate
from torchtrt_ws.pte.budget_change import BudgetChange, EngineChange, set_budget
from torchtrt_ws.pte.companion import check_weights, with_companions
from torchtrt_ws.pte.data_file import (
    data_files_beside,
    external_names,
    names_in_data_file,
    no_data_file,
    regions_in_data_file,
)
from torchtrt_ws.pte.diff_program import diff
from torchtrt_ws.pte.engine_digests import DigestReport, EngineDigest, check_digests
from torchtrt_ws.pte.info import CompileSpec, EngineInfo, MethodInfo, ProgramInfo, TensorInfo, ValueInfo
from torchtrt_ws.pte.program_diff import Change, EngineDiff, MethodDiff, ProgramDiff
from torchtrt_ws.pte.read_program import read

__all__ = [
    "Annotation",
    "BudgetChange",
    "Change",
    "CompileSpec",
    "DigestReport",
    "EngineChange",
    "EngineDiff",
    "EngineDigest",
    "EngineInfo",
    "MethodDiff",
    "MethodInfo",
    "ProgramDiff",
    "ProgramInfo",
    "TensorInfo",
    "ValueInfo",
    "annotate",
    "check_digests",
    "check_weights",
    "data_files_beside",
    "diff",
    "external_names",
    "names_in_data_file",
    "no_data_file",
    "read",
    "regions_in_data_file",
    "set_budget",
    "with_companions",
]

"""Budgets and times of a program on a device that is not here. Pure: imports neither torch nor executorch."""

from torchtrt_ws.planning.plan import EnginePlan, Plan, plan
from torchtrt_ws.planning.prediction import BOUND, EXTRAPOLATED, INTERPOLATED, MEASURED, Prediction

__all__ = [
    "BOUND",
    "EXTRAPOLATED",
    "INTERPOLATED",
    "MEASURED",
    "EnginePlan",
    "Plan",
    "Prediction",
    "plan",
]

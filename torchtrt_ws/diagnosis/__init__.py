"""What stands between a program and a GPU, of this installation and this machine."""

from torchtrt_ws.diagnosis.diagnosis import Diagnosis
from torchtrt_ws.diagnosis.doctor import doctor

__all__ = ["Diagnosis", "doctor"]

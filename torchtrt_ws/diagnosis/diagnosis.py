"""What the facts come to: whether programs run on a GPU here, and if not, the one thing to do first. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from torchtrt_ws.facts import OK, Fact

__all__ = ["ADAPTER", "DEVICE", "DRIVER", "EXECUTORCH", "MODULE", "RTX", "TENSORRT", "Diagnosis"]

# Names of facts; those of the adapter's are in cpp/engine/tensorrt/tensorrt_survey.h.
MODULE = "native module"
EXECUTORCH = "executorch"
ADAPTER = "adapter"
DRIVER = "driver"
TENSORRT = "TensorRT"
RTX = "TensorRT-RTX"
DEVICE = re.compile(r"device|cuda:[0-9]+")

_READY = "Programs run on a GPU here. `torchtrt-ws check FILE` tells it of one."
_LIBRARY = re.compile(r"libcudart\.so\.(1[0-9])")


@dataclass(frozen=True)
class Diagnosis:
    """What `doctor` found.

    Args:
        facts: "torchtrt-ws", "executorch", "native module" and "adapter". Then the adapter's: "headers" (those it was
            compiled with), "TensorRT" and "TensorRT-RTX" (the libraries that a load would take), "CUDA runtime",
            "driver", and "cuda:N" for each device, with its "total" in bytes.
    """

    facts: tuple[Fact, ...]

    @property
    def ready(self) -> bool:
        """Whether programs can be run on a GPU: module, adapter, a device, and one of the two TensorRTs."""
        return self._broken() is None

    @property
    def next_step(self) -> str:
        """What to do first, as a sentence; where nothing is to be done, what to ask next."""
        broken = self._broken()
        return _READY if broken is None else _step(broken)

    def as_dict(self) -> dict[str, Any]:
        """The diagnosis as `doctor --json` prints it."""
        return {"ready": self.ready, "next_step": self.next_step, "facts": [fact.as_dict() for fact in self.facts]}

    def _broken(self) -> Fact | None:
        """The first fact that is in the way of every program on a GPU."""
        for name in (EXECUTORCH, MODULE, ADAPTER, DRIVER):
            for fact in self._named(re.compile(re.escape(name))):
                if fact.verdict != OK:
                    return fact
        for names in (DEVICE, re.compile(f"{TENSORRT}|{RTX}")):
            found = self._named(names)
            if not any(fact.verdict == OK for fact in found):
                # Of the two libraries the one that there is something of: of another version, say.
                return max(found, key=lambda fact: ".so" in fact.found and "version" in fact.found, default=_NOTHING)
        return None

    def _named(self, names: re.Pattern[str]) -> list[Fact]:
        return [fact for fact in self.facts if names.fullmatch(fact.name)]


_NOTHING = Fact("adapter", "no", "nothing", "Install torchtrt-ws again.")


def _step(broken: Fact) -> str:
    missing = _LIBRARY.search(broken.found)
    if broken.name == ADAPTER and missing:
        package = "nvidia-cuda-runtime" if missing[1] == "13" else f"nvidia-cuda-runtime-cu{missing[1]}"
        return f"pip install {package}, which has {missing[0]}; a CUDA toolkit on LD_LIBRARY_PATH has it too."
    return broken.remedy

"""What `torchtrt-ws doctor` prints for people."""

from __future__ import annotations

from rich.console import Console, Group
from rich.text import Text

from torchtrt_ws.cli._facts import facts
from torchtrt_ws.diagnosis import Diagnosis
from torchtrt_ws.facts import Fact

__all__ = ["diagnosis"]


def diagnosis(found: Diagnosis, console: Console | None = None) -> None:
    """Prints a diagnosis: a line for each fact, and the next step once, at the end.

    Args:
        found: What `torchtrt_ws.doctor` found.
        console: Where to; stdout by default.
    """
    heading = "programs run on a GPU here" if found.ready else "no program runs on a GPU here"
    told = tuple(Fact(fact.name, fact.verdict, fact.found, bytes=fact.bytes) for fact in found.facts)
    parts = (Text(heading), facts(told), Text(f"\n{found.next_step}"))
    (console or Console(highlight=False)).print(Group(*parts))

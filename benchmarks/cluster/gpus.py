"""A GPU of the cluster, told by its memory: what is not said of it is as on the machine that was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from benchmarks.cluster.served import Served, Service


@dataclass(frozen=True)
class Gpu:
    """A device.

    Args:
        memory: Bytes, 10^9 to a GB.
        price: Of an hour, in any unit.
        link: How fast weights come from the host, in parts of what was measured.
        compute: The same of computing.
    """

    memory: int
    price: float = 1.0
    link: float = 1.0
    compute: float = 1.0

    @property
    def name(self) -> str:
        return f"{self.memory / 1e9:g} GB"

    @classmethod
    def parse(cls, text: str) -> Gpu:
        """Takes a GPU from "24", or "24:price=0.8:link=0.5:compute=0.3".

        Args:
            text: GB, and what differs.

        Raises:
            ValueError: Something else; argparse says so.
        """
        memory, *rest = text.split(":")
        values = dict(each.split("=", 1) for each in rest)
        if not values.keys() <= {"price", "link", "compute"}:
            raise ValueError(text)
        found = cls(int(float(memory) * 1e9), **{key: float(value) for key, value in values.items()})
        if not all(0 < each < math.inf for each in (found.memory, found.price, found.link, found.compute)):
            raise ValueError(text)
        return found

    def run(self, served: Served, batch: int, share: int = 1) -> Service:
        """How a model is served here.

        Args:
            served: The model.
            batch: One that was measured.
            share: The models that divide the memory between them.
        """
        return self.scaled(served.within(self.memory // share, batch), served)

    def scaled(self, service: Service, served: Served) -> Service:
        """A service as it would be here: what a call computes by `compute`, what it waits for weights by `link`.

        Args:
            service: As measured.
            served: Its model.
        """
        computed = min(served.points[service.batch][-1].milliseconds, service.milliseconds)
        streamed = service.milliseconds - computed
        return replace(service, milliseconds=computed / self.compute + streamed / self.link)

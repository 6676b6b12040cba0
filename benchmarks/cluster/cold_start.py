"""From the decision to start a replica to its first answer: what comes over the network, and what loading takes."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.cluster.served import Served, Service


@dataclass(frozen=True)
class Rates:
    """What nobody measured here: each is a flag. Sizes in bytes, rates in bytes a second.

    Args:
        image_bytes: The container image.
        image_rate: Of pulling and unpacking it.
        weights_rate: Of bringing the program to the node.
        disk_rate: Of reading the program from the node's disk; None where it is in the page cache.
        start_seconds: Scheduling, and the start of container and process.
    """

    image_bytes: float
    image_rate: float
    weights_rate: float
    disk_rate: float | None
    start_seconds: float


@dataclass(frozen=True)
class ColdStart:
    """Seconds of each stage.

    Args:
        found: What the node has already, in words.
        image: Of the image.
        weights: Of the program.
        load: Of the process, until the program can be called.
        call: Of the first call.
    """

    found: str
    image: float
    weights: float
    load: float
    call: float

    @property
    def ready(self) -> float:
        """Until it takes requests."""
        return self.image + self.weights + self.load

    @property
    def first_answer(self) -> float:
        return self.ready + self.call


def cold_starts(served: Served, service: Service, rates: Rates) -> list[ColdStart]:
    """From a node that has nothing to one on which the program was loaded before.

    Args:
        served: The model.
        service: How the replica answers.
        rates: The rest.
    """
    image = rates.image_bytes / rates.image_rate
    weights = served.file_bytes / rates.weights_rate
    read = 0.0 if rates.disk_rate is None else served.file_bytes / rates.disk_rate
    first = rates.start_seconds + served.load_seconds
    call = service.milliseconds / 1e3
    found = [
        ColdStart("nothing", image, weights, first, call),
        ColdStart("the image", 0.0, weights, first, call),
        ColdStart("image and program", 0.0, 0.0, first + read, call),
    ]
    if served.reload is not None:
        how, seconds = served.reload
        found.append(ColdStart(f"image and program, {how}", 0.0, 0.0, rates.start_seconds + seconds, call))
    return found

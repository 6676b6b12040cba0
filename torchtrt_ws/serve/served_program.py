"""A program behind a server: requests checked, joined into calls and answered, budgets, health. Knows no Ray."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchtrt_ws import pte
from torchtrt_ws.errors import EngineError, ProgramError, WeightStreamingError
from torchtrt_ws.runtime import Program, load
from torchtrt_ws.runtime.inputs import dtype_name
from torchtrt_ws.runtime.signature import TensorSpec
from torchtrt_ws.serve.batching import Tensors, grouped, joined, rows, shares
from torchtrt_ws.serve.counters import Counters
from torchtrt_ws.serve.generation import generated, prompt_limit
from torchtrt_ws.serve.protocol import DATATYPES, GenerateRequest
from torchtrt_ws.serve.shapes import method_shapes

__all__ = ["Answer", "Request", "ServedProgram"]

Answer = dict[str, np.ndarray[Any, Any]] | WeightStreamingError

_NUMBERS = {"int": "int64", "double": "float64", "bool": "bool"}  # inputs that are no tensors, as tensors of shape [1]


@dataclass(frozen=True)
class Request:
    """Inputs by name, and when they arrived: `time.perf_counter_ns()`, so within one process."""

    tensors: Tensors
    arrived_ns: int


class ServedProgram:
    """One method of a program that is loaded, for many clients. Threads may share it.

    Args:
        file: Path of the .pte.
        method: None for the one that calling the program runs.
        max_batch_size: Rows of one call at most, where the program's requests can be joined; 1 joins none.
        cache_tokens: Tokens that a decoder's cache holds, for `generate`.
        options: Further keywords of `torchtrt_ws.load`.

    Raises:
        ProgramError: As `load`; or a tensor of a dtype that the protocol does not have.
        BudgetError, CapacityError, EngineError: As `load`.
    """

    def __init__(
        self,
        file: str,
        *,
        method: str | None = None,
        max_batch_size: int = 1,
        cache_tokens: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        report = pte.read(file)
        chosen = report.method(method)
        self._shapes = method_shapes(report, chosen)
        self._program: Program = load(file, **(options or {}))
        self._signature = self._program.signature(chosen.name)
        for spec in (*self._signature.inputs, *self._signature.outputs):
            if _tensor_dtype(spec) not in DATATYPES:
                raise ProgramError(f"{file}, {spec.name!r}", spec.dtype, f"one of {', '.join(DATATYPES)}", "Cast it.")
        bound = self._shapes.max_batch
        self.limit = None if bound is None or max_batch_size == 1 else min(max_batch_size, bound)
        self._cache_tokens = cache_tokens
        self.counters = Counters()
        self._failed = False  # the last call; only then does a look at its health run it
        self._before: Any = None  # what `undo_budget` goes back to
        self._changing = threading.Lock()  # guards it: a change and its undoing

    @property
    def metadata(self) -> dict[str, Any]:
        """Inputs and outputs as the protocol describes them; -1 is a dimension that varies."""
        sides = {
            "inputs": zip(self._signature.inputs, self._shapes.inputs, strict=True),
            "outputs": zip(self._signature.outputs, self._shapes.outputs, strict=True),
        }
        return {
            side: [
                {"name": spec.name, "datatype": DATATYPES[_tensor_dtype(spec)], "shape": list(shape)}
                for spec, shape in specs
            ]
            for side, specs in sides.items()
        }

    def rows(self, tensors: Tensors) -> int:
        """Rows of a request with `tensors`, for `limit`: 1 where requests are not joined."""
        return 1 if self.limit is None else rows(tensors) or 1

    def infer(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers requests in as few calls as can be. One that is wrong, or fails, is no harm to the others.

        Args:
            requests: Of any shapes.

        Returns:
            For each its outputs by name, or the error.
        """
        answers: list[Answer | None] = [self._refusal(request.tensors) for request in requests]
        good = [position for position, answer in enumerate(answers) if answer is None]
        for call in grouped([requests[position].tensors for position in good], self.limit):
            positions = [good[index] for index in call]
            for position, made in zip(positions, self._call([requests[p] for p in positions]), strict=True):
                answers[position] = made
        for answer in answers:
            if isinstance(answer, WeightStreamingError):
                self.counters.refuse()
        return [answer for answer in answers if answer is not None]

    def generate(self, asked: GenerateRequest) -> Iterator[int]:
        """Continues a prompt with a decoder that keeps its cache. One at a time: the caller sees to it.

        Args:
            asked: What a client asks.

        Yields:
            Token ids.

        Raises:
            ProgramError: No decoder, no `cache_tokens`, or more tokens than the cache holds.
            EngineError: The engine failed.
        """
        limit = prompt_limit(self._signature)
        if limit is None or not self._shapes.keeps_state:
            expected = "a decoder with its cache: ids, int64 [1, count], and start, int64 [1], to logits"
            raise ProgramError("generate_stream", f"a method of {self._signature.inputs}", expected, "Use infer.")
        if self._cache_tokens is None:
            next_step = "Serve it with this setting: how many tokens the cache holds."
            raise ProgramError("generate_stream", "no cache_tokens", "that setting", next_step)
        yield from generated(self._logits, asked, limit, self._cache_tokens)

    def set_budget(self, budget: int | str) -> None:
        """Changes the program's budget, between calls; see `Program.set_weight_streaming_budget`.

        Args:
            budget: The total: bytes, "1GiB", "40%", "free-2GiB" or "auto".

        Raises:
            BudgetError, CapacityError, EngineError: As there; the budget is as before.
        """
        with self._changing:
            before = self._program.saved_budgets()
            self._program.set_weight_streaming_budget(budget)
            self._before = before

    def undo_budget(self) -> None:
        """Takes the last `set_budget` that changed something back, if that is not done already.

        Raises:
            CapacityError, EngineError: It does not fit any more, or the runtime refused.
        """
        with self._changing:
            before, self._before = self._before, None
            if before is not None:
                self._program.restore_budgets(before)

    def engines(self) -> list[dict[str, Any]]:
        """Reports of its engines, sizes in bytes; see `Engine`."""
        return [engine.as_dict() for engine in self._program.engines]

    def check(self) -> None:
        """Says whether it works: free where the last call succeeded, else it runs zeros.

        Raises:
            WeightStreamingError: It does not.
        """
        if self._failed:
            self._program.run(self._signature.method, *self._program.zeros(self._signature.method))
            self._failed = False

    def close(self) -> None:
        """Unloads it, after the calls that came before."""
        self._program.close()

    def _refusal(self, tensors: Tensors) -> WeightStreamingError | None:
        """What is wrong with a request by itself, before it meets others in one call."""
        try:
            if self._shapes.keeps_state:
                found = "a program that keeps state from call to call"
                raise ProgramError("infer", found, "one without: clients would meet in it", "Use generate_stream.")
            for spec, value in zip(self._signature.inputs, self._signature.bind((), tensors), strict=True):
                want = _tensor_dtype(spec)
                fits = value.shape == (1,) if spec.shape is None else spec.fits(value.shape)
                if dtype_name(value.dtype) != want or not fits:
                    found = f"{dtype_name(value.dtype)}{list(value.shape)}"
                    expected = str(spec) if spec.is_tensor else f"{want}[1]"
                    raise ProgramError(f"input {spec.name!r}", found, expected, "Mend the request.")
        except WeightStreamingError as error:
            return error
        return None

    def _call(self, requests: Sequence[Request]) -> list[Answer]:
        tensors = joined([request.tensors for request in requests])
        started = time.perf_counter_ns()
        sizes = [self.rows(request.tensors) for request in requests]
        try:
            outputs = self._run(tensors)
        except WeightStreamingError as error:
            if len(requests) > 1:  # whose fault it was shows alone
                return self._alone(requests)
            self._failed = isinstance(error, EngineError)
            return [error]
        ended = time.perf_counter_ns()
        self._failed = False
        if len(requests) > 1 and any(array.shape[0] != sum(sizes) for array in outputs.values()):
            return self._alone(requests)  # the file said that its outputs have a row for each of its inputs'
        waited = sum(started - request.arrived_ns for request in requests)
        self.counters.called(len(requests), sum(sizes), waited, ended - started)
        return [outputs] if len(requests) == 1 else [dict(share) for share in shares(outputs, sizes)]

    def _logits(self, ids: np.ndarray[Any, Any], start: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        started = time.perf_counter_ns()
        try:
            (logits,) = self._program.run(self._signature.method, ids, start)
        except EngineError:
            self._failed = True
            raise
        self._failed = False
        self.counters.called(0, 1, 0, time.perf_counter_ns() - started)
        return np.asarray(logits)

    def _alone(self, requests: Sequence[Request]) -> list[Answer]:
        return [answer for request in requests for answer in self._call([request])]

    def _run(self, tensors: Tensors) -> dict[str, np.ndarray[Any, Any]]:
        specs = self._signature.inputs
        inputs = [tensors[spec.name].item() if spec.shape is None else tensors[spec.name] for spec in specs]
        results = self._program.run(self._signature.method, *inputs)
        return {
            spec.name: np.asarray(value).reshape((1,) if spec.shape is None else np.shape(value))
            for spec, value in zip(self._signature.outputs, results, strict=True)
        }


def _tensor_dtype(spec: TensorSpec) -> str:
    return spec.dtype if spec.is_tensor else _NUMBERS.get(spec.dtype, spec.dtype)

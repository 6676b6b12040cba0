"""What is served, and how: as a config file, keywords or the command line say it. pydantic reads it, as Ray's own."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from torchtrt_ws import budget as budgets
from torchtrt_ws.errors import BudgetError, ProgramError

__all__ = ["AppSettings", "ModelSettings", "settings_of"]

_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"  # it stands in URLs


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSettings(_Strict):
    """One model: a program, and the replicas that run it.

    Args:
        file: Path of the .pte, where the replicas run.
        method: Which method; None for `forward`, or the only one.
        budget: The program's total that each replica keeps on its device: bytes, "2GiB", "40%", "free-2GiB", "auto".
            None: as `torchtrt_ws.load`.
        margin: Bytes that automatic budgets leave free.
        headroom: Bytes of its device that a replica keeps free, giving weights where it must
            (`torchtrt_ws.memory.headroom`).
        device: CUDA device, as the replica's process counts them. None: 0 if it has `num_gpus`, else the file's.
        contexts: Calls that run at the same time in a replica, on one copy of the weights.
        load: Further keywords of `torchtrt_ws.load`.
        cache_tokens: Tokens that the cache of a decoder holds, prompt and answer: with it `generate_stream` answers.
        max_batch_size: Rows that one call has at most: requests are joined along the first dimension, if that varies in
            all inputs and outputs. 1 joins none. It is yours to say that rows are independent: no file tells.
        batch_wait_timeout_s: Seconds that a request waits for others although a call could begin. With 0, what comes
            while calls run is joined, and nobody waits for nothing.
        num_replicas: Processes, each with a copy of the program.
        num_gpus: Of each; 0.5 lets two share a GPU, each with its own budget.
        num_cpus: Of each, as Ray counts them.
        max_ongoing_requests: That a replica has, those that wait there among them; None: 64, or four batches for each
            context if these are more. Where requests wait, they gather into batches.
        max_queued_requests: That wait before the replicas when all have so many, for each process that answers HTTP;
            more are answered with 503.
        health_check_period_s: Seconds between two looks at a replica.
    """

    file: str
    method: str | None = None
    budget: int | str | None = None
    margin: int | str | None = None
    headroom: int | str | None = None
    device: Annotated[int, Field(ge=0)] | None = None
    contexts: Annotated[int, Field(ge=1, le=1024)] = 1
    load: dict[str, Any] = {}
    cache_tokens: Annotated[int, Field(ge=1)] | None = None
    max_batch_size: Annotated[int, Field(ge=1)] = 1
    batch_wait_timeout_s: Annotated[float, Field(ge=0, le=60)] = 0
    num_replicas: Annotated[int, Field(ge=1)] = 1
    num_gpus: Annotated[float, Field(ge=0)] = 0
    num_cpus: Annotated[float, Field(ge=0)] = 1
    max_ongoing_requests: Annotated[int, Field(ge=1)] | None = None
    max_queued_requests: Annotated[int, Field(ge=1)] = 64
    health_check_period_s: Annotated[float, Field(gt=0)] = 5

    @field_validator("budget")
    @classmethod
    def _readable(cls, value: int | str | None) -> int | str | None:
        budgets.parse(value, "budget")  # before a replica starts to find out
        return value

    @field_validator("margin", "headroom")
    @classmethod
    def _sizes(cls, value: int | str | None, info: ValidationInfo) -> int | str | None:
        if value is not None:
            budgets.size(value, info.field_name or "")
        return value

    @property
    def ongoing(self) -> int:
        """Requests that a replica has at the same time."""
        return self.max_ongoing_requests or max(64, 4 * self.max_batch_size * self.contexts)

    @property
    def load_options(self) -> dict[str, Any]:
        """The keywords of `torchtrt_ws.load`."""
        device = 0 if self.device is None and self.num_gpus else self.device
        own = {
            "weight_streaming_margin": self.margin,
            "device_id": device,
            "contexts": self.contexts,
        }
        return {**self.load, **{key: value for key, value in own.items() if value is not None}}


class AppSettings(_Strict):
    """All that one server serves.

    Args:
        models: By the name that clients use.
        admin: Whether `POST /v2/models/{m}/budget` changes budgets, for whoever reaches the port. Else it is refused.
        num_ingress: Processes that answer HTTP.
        max_body_bytes: Of a request; a larger one is answered with 413.
    """

    models: Annotated[dict[Annotated[str, Field(pattern=_NAME)], ModelSettings], Field(min_length=1)]
    admin: bool = False
    num_ingress: Annotated[int, Field(ge=1)] = 1
    max_body_bytes: Annotated[int, Field(ge=1)] = 2**30


def settings_of(given: Any) -> AppSettings:
    """Reads settings.

    Args:
        given: A mapping, as from YAML; or `AppSettings`.

    Raises:
        ProgramError: A key that there is not, or a wrong type; the first that was found.
        BudgetError: A budget that cannot be read.
    """
    try:
        settings: AppSettings = AppSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, BudgetError):  # a ValueError, which pydantic collects
            raise cause from None
        where = ".".join(map(str, first["loc"])) or "the settings"
        raise ProgramError(where, f"{first['input']!r:.80}", first["msg"], "Mend the settings.") from None
    return settings

"""HTTP statuses of what can go wrong, and errors as the protocol has them."""

from __future__ import annotations

import json

from starlette.responses import Response

from torchtrt_ws.errors import BudgetError, CapacityError, ProgramError

__all__ = ["answered", "failed", "later", "status_of"]

_JSON = "application/json"


def status_of(error: BaseException) -> int:
    """For `error`, 400: the request is at fault; 409: a budget that does not fit; 500: the engine failed."""
    if isinstance(error, CapacityError):
        return 409
    return 400 if isinstance(error, ProgramError | BudgetError) else 500


def answered(value: object, status: int = 200) -> Response:
    """`value` as JSON, with an HTTP `status`."""
    return Response(json.dumps(value), status, media_type=_JSON)


def failed(error: BaseException | str, status: int | None = None) -> Response:
    """An error: `{"error": text}`.

    Args:
        error: It, or its text.
        status: None: by `status_of`.
    """
    found = status_of(error) if status is None and not isinstance(error, str) else status or 500
    return answered({"error": str(error)}, found)


def later(why: str) -> Response:
    """503: the same request may succeed in a second.

    Args:
        why: What to tell.
    """
    return Response(json.dumps({"error": why}), 503, headers={"Retry-After": "1"}, media_type=_JSON)

"""The margin of automatic budgets: what stays free on a device for what nobody foresees."""

from __future__ import annotations

from torchtrt_ws.budget.grammar import BYTES, Bytes, parse
from torchtrt_ws.budget.wire import MARGIN_KEY
from torchtrt_ws.errors import BudgetError

__all__ = ["margin_options"]


def margin_options(weight_streaming_margin: int | str | None) -> dict[str, str]:
    """Turns the margin keyword of `load` into the backend's option.

    Args:
        weight_streaming_margin: Bytes that an automatic budget leaves free, or a size; None leaves it to the backend.

    Returns:
        Option key to decimal string; empty for None.

    Raises:
        BudgetError: No number of bytes: malformed, or a form that only a budget has ("auto", "N%", "free-N").
    """
    if weight_streaming_margin is None:
        return {}
    margin = parse(weight_streaming_margin, MARGIN_KEY, BYTES)
    if not isinstance(margin, Bytes):
        raise BudgetError(MARGIN_KEY, repr(weight_streaming_margin), BYTES, "Give the bytes to leave free; 0 for none.")
    return {MARGIN_KEY: str(margin.value)}

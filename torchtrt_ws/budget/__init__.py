"""Weight streaming budgets: what people write, what travels, and the split over engines. Pure; sizes are bytes."""

from torchtrt_ws.budget.grammar import Auto, Budget, Bytes, Percent, Reserve, parse, size
from torchtrt_ws.budget.keywords import (
    PER_ENGINE_KEYWORD,
    bake,
    change_options,
    for_shared_weights,
    load_options,
    program_change_options,
    without_effect,
)
from torchtrt_ws.budget.margin import margin_options
from torchtrt_ws.budget.split import EngineSize, split
from torchtrt_ws.budget.wire import (
    KEY,
    MARGIN_KEY,
    MAX_BYTES,
    PERCENT_KEY,
    RESERVE_KEY,
    TOTAL_KEY,
    encode,
    engine_key,
    is_budget_key,
    parse_decimal,
)

__all__ = [
    "KEY",
    "MARGIN_KEY",
    "MAX_BYTES",
    "PERCENT_KEY",
    "PER_ENGINE_KEYWORD",
    "RESERVE_KEY",
    "TOTAL_KEY",
    "Auto",
    "Budget",
    "Bytes",
    "EngineSize",
    "Percent",
    "Reserve",
    "bake",
    "change_options",
    "encode",
    "engine_key",
    "for_shared_weights",
    "is_budget_key",
    "load_options",
    "margin_options",
    "parse",
    "parse_decimal",
    "program_change_options",
    "size",
    "split",
    "without_effect",
]

"""torchtrt_ws.budget: the grammar, the wire, what load and save send, and the split."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchtrt_ws import budget, names
from torchtrt_ws.budget import MAX_BYTES, Auto, Bytes, EngineSize, Percent, Reserve
from torchtrt_ws.errors import BudgetError

HERE = Path(__file__).parent
CASES = json.loads((HERE / "decimal_cases.json").read_text())  # GTest reads the same file
WRITTEN = json.loads((HERE / "written_cases.json").read_text())  # and this one
GiB = 2**30

SIZES = st.integers(0, 2**45)
ENGINES = st.lists(
    st.builds(EngineSize, st.just(""), SIZES, st.booleans()),
    min_size=2,
    max_size=6,
).map(lambda sizes: [EngineSize(f"e{i}", s.streamable_bytes, s.estimated) for i, s in enumerate(sizes)])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_decimal_table(case: dict[str, Any]) -> None:
    value = bytes.fromhex(case["hex"]) if "hex" in case else case["text"]
    if case["want"] == "BudgetError":
        with pytest.raises(BudgetError, match="decimal digits only"):
            budget.parse_decimal(value, "the key")
    else:
        assert budget.parse_decimal(value) == case["want"]


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: case["why"])
def test_written_table(case: dict[str, Any]) -> None:
    if case["want"] == "BudgetError":
        with pytest.raises(BudgetError, match="Write one of these"):
            budget.parse(case["text"])
        return
    form, value = case["want"]
    forms = {"bytes": Bytes, "percent": Percent, "reserve": Reserve}
    wanted = Auto() if case["text"] == "auto" else forms[form](value)
    assert budget.parse(case["text"]) == wanted


@given(st.integers(0, MAX_BYTES))
def test_what_is_encoded_is_parsed_to_the_same_number(value: int) -> None:
    encoded = budget.encode(value)
    assert re.fullmatch(rb"[0-9]+", encoded)
    assert budget.parse_decimal(encoded) == value
    assert budget.parse_decimal(memoryview(encoded)) == value
    assert budget.parse(encoded.decode()) == Bytes(value)


@given(st.text("0123456789+-. \0kMGiB\u0661", max_size=24))
def test_a_decimal_is_digits_below_2_63_and_nothing_else(text: str) -> None:
    valid = re.fullmatch(r"[0-9]+", text) is not None and int(text) <= MAX_BYTES
    if valid:
        assert budget.parse_decimal(text) == int(text)
    else:
        with pytest.raises(BudgetError):
            budget.parse_decimal(text)


@pytest.mark.parametrize("value", [-1, 2**63, True, 1.0, "1", None])
def test_encode_refuses_what_would_not_travel(value: Any) -> None:
    with pytest.raises(BudgetError):
        budget.encode(value)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("auto", Auto()),
        (None, Auto()),
        (0, Bytes(0)),
        (1073741824, Bytes(GiB)),
        (MAX_BYTES, Bytes(MAX_BYTES)),
        ("0", Bytes(0)),
        ("1073741824", Bytes(GiB)),
        ("007", Bytes(7)),
        ("1K", Bytes(2**10)),
        ("1M", Bytes(2**20)),
        ("1G", Bytes(GiB)),
        ("1T", Bytes(2**40)),
        ("512KiB", Bytes(512 * 2**10)),
        ("512MiB", Bytes(512 * 2**20)),
        ("3GiB", Bytes(3 * GiB)),
        ("2TiB", Bytes(2**41)),
        ("0GiB", Bytes(0)),
        ("8388607T", Bytes(8388607 * 2**40)),
        ("0%", Percent(0)),
        ("50%", Percent(50)),
        ("100%", Percent(100)),
        ("free-0", Reserve(0)),
        ("free-2GiB", Reserve(2 * GiB)),
        ("free-512M", Reserve(512 * 2**20)),
    ],
)
def test_accepted_forms(text: int | str | None, want: budget.Budget) -> None:
    assert budget.parse(text) == want


REFUSED: list[Any] = [
    True,
    False,
    0.0,
    1.5,
    float("nan"),
    -1,
    2**63,
    10**5000,
    "",
    " ",
    "1 GiB",
    " 1GiB",
    "1GiB\n",
    "-1",
    "-0",
    "+1",
    "1.5GiB",
    "1e9",
    "1_000",
    "0x10",
    "1B",
    "1KB",
    "1gib",
    "1k",
    "1Gi",
    "GiB",
    "8388608T",
    "9223372036854775808",
    "9" * 5000,
    "101%",
    "-1%",
    "50.5%",
    "%",
    "50 %",
    "50%%",
    "9" * 5000 + "%",
    "Auto",
    "AUTO",
    "none",
    "free",
    "free-",
    "free-50%",
    "free--1",
    "free-auto",
    "free2GiB",
    "\u0661\u0662",
    "1\0",
    b"1",
    [1],
    {"a": 1},
    object(),
    1j,
]


@pytest.mark.parametrize("value", REFUSED, ids=range(len(REFUSED)))  # 10**5000 has no str()
def test_refused_forms(value: Any) -> None:
    with pytest.raises(BudgetError) as caught:
        budget.parse(value, "the keyword")
    message = str(caught.value)
    assert message.startswith("the keyword: found ")
    for form in ('"auto"', '"1GiB"', '"N%"', '"free-N"', "2^63-1"):
        assert form in message
    assert len(message) < 600, "an error is for reading"


@given(st.one_of(st.text(max_size=30), st.text("0123456789.-+%KMGTiB free auto", max_size=20), st.binary(max_size=9)))
def test_parse_returns_a_budget_or_a_budget_error(value: Any) -> None:
    try:
        parsed = budget.parse(value)
    except BudgetError:
        return
    assert isinstance(parsed, Auto | Bytes | Percent | Reserve)
    assert isinstance(parsed, Auto) or 0 <= parsed.value <= MAX_BYTES


@given(st.integers(0, 2**63), st.sampled_from(["", "K", "M", "G", "T", "KiB", "MiB", "GiB", "TiB"]))
def test_suffixes_are_base_2(number: int, suffix: str) -> None:
    want = number << {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[suffix[:1]]
    if want <= MAX_BYTES:
        assert budget.parse(f"{number}{suffix}") == Bytes(want)
        assert budget.parse(f"free-{number}{suffix}") == Reserve(want)
    else:
        with pytest.raises(BudgetError):
            budget.parse(f"{number}{suffix}")


@pytest.mark.parametrize(
    ("total", "each", "want"),
    [
        (None, None, {}),
        ("auto", None, {"weight_streaming_reserve": "0"}),
        (123, None, {"weight_streaming_total_budget": "123"}),
        ("1GiB", None, {"weight_streaming_total_budget": str(GiB)}),
        ("50%", None, {"weight_streaming_percent": "50"}),
        ("free-1K", None, {"weight_streaming_reserve": "1024"}),
        (None, "auto", {"weight_streaming_reserve": "0"}),
        (None, 0, {"weight_streaming_budget": "0"}),
        (None, "1K", {"weight_streaming_budget": "1024"}),
        (None, "75%", {"weight_streaming_percent": "75"}),
        (None, "free-0", {"weight_streaming_reserve": "0"}),
        (None, {}, {}),
        (None, {"a": None}, {}),
        (None, {"a": 5, "b": "1K"}, {"weight_streaming_budget.a": "5", "weight_streaming_budget.b": "1024"}),
        (None, {"b": "100%"}, {"weight_streaming_budget.b": str(MAX_BYTES)}),
        (None, {"b": "0%"}, {"weight_streaming_budget.b": "0"}),
    ],
)
def test_load_options(total: Any, each: Any, want: dict[str, str]) -> None:
    assert budget.load_options(total, each, ["a", "b"]) == want


@pytest.mark.parametrize(
    ("total", "each", "says"),
    [
        (1, 1, "one of the two"),
        ("auto", {"a": 1}, "one of the two"),
        (True, None, 'expected "auto"'),
        (None, 1.0, "weight_streaming_budget_per_engine: found 1.0"),
        (None, [1, 2], "found [1, 2] (list)"),
        (None, {"c": 1}, "no engine named 'c'; expected names of engines in the program ('a', 'b')"),
        (None, {1: 1}, "no engine named 1"),
        (None, {"a": "50%"}, "weight_streaming_budget_per_engine['a']: found '50%'"),
        (None, {"a": "auto"}, "found 'auto'"),
        (None, {"a": "free-1"}, "found 'free-1'"),
        (None, {"a": "x"}, "weight_streaming_budget_per_engine['a']: found 'x'"),
    ],
)
def test_load_options_refused(total: Any, each: Any, says: str) -> None:
    with pytest.raises(BudgetError, match=re.escape(says)):
        budget.load_options(total, each, ["a", "b"])


@pytest.mark.parametrize(
    ("total", "key"), [("1KiB", "weight_streaming_budget"), ("50%", "weight_streaming_percent")], ids=str
)
def test_the_total_of_one_engine_is_its_own(total: str, key: str) -> None:
    assert list(budget.load_options(total, None, ["a"])) == [key]


@pytest.mark.parametrize(("margin", "want"), [(0, "0"), ("64MiB", str(2**26)), (MAX_BYTES, str(MAX_BYTES))])
def test_a_margin_is_bytes(margin: Any, want: str) -> None:
    assert budget.margin_options(margin) == {"weight_streaming_margin": want}


def test_no_margin_is_no_option() -> None:
    assert budget.margin_options(None) == {}


@pytest.mark.parametrize(
    "margin", ["auto", "10%", "free-1MiB", -1, True, 1.5, "", "1 MiB", MAX_BYTES + 1, [1]], ids=str
)
def test_a_margin_is_nothing_else(margin: Any) -> None:
    with pytest.raises(BudgetError, match=r"weight_streaming_margin: found .*; expected a number of bytes from 0"):
        budget.margin_options(margin)


@pytest.mark.parametrize(
    ("total", "each"), [(None, None), (None, {}), (None, {"a": None})], ids=["none", "empty", "none in it"]
)
def test_a_change_of_nothing_is_refused(total: Any, each: Any) -> None:
    with pytest.raises(BudgetError, match="found no budget"):
        budget.program_change_options(total, each, ["a", "b"])


def test_a_change_travels_as_at_load() -> None:
    for total, each in [("1KiB", None), ("auto", None), (None, "5%"), (None, {"b": 3})]:
        assert budget.program_change_options(total, each, ["a", "b"]) == budget.load_options(total, each, ["a", "b"])


def test_which_keys_are_of_budgets() -> None:
    assert all(map(budget.is_budget_key, [*budget.load_options(None, {"a": 1}, ["a"]), budget.MARGIN_KEY]))
    assert all(budget.is_budget_key(key) for total in (1, "1%", "auto") for key in budget.load_options(total))
    assert not any(
        map(budget.is_budget_key, ["baked weight_streaming_budget", "engine blob", "device_id", "verify", ""])
    )


def test_an_engine_key_fits_an_option_key() -> None:
    assert len(budget.engine_key("e" * 39)) == 63  # kMaxOptionKeyLength is 64, with its NUL
    assert names.is_engine_name("A-z_0.9")
    assert not any(names.is_engine_name(name) for name in ("", "e" * 40, "a b", "a/b", "\u00e9", "a\n", None, 3))


ONE = [EngineSize("a", 1000)]
UNKNOWN = [EngineSize("a", None)]
TWO = [EngineSize("a", 1000), EngineSize("b", 3000)]
HEADED = [EngineSize("a", 1000), EngineSize("b", 3000, estimated=True, whole=True)]
RESIDENT = b"9223372036854775807"
SHARED = [*TWO, EngineSize("c", 1000, weights_of="a")]  # "c" runs on the weights of "a"


@pytest.mark.parametrize(
    ("total", "each", "engines", "want"),
    [
        (None, None, TWO, {"a": None, "b": None}),
        ("auto", None, TWO, {"a": None, "b": None}),
        (None, "auto", TWO, {"a": None, "b": None}),
        (400, None, ONE, {"a": b"400"}),
        (3500, None, HEADED, {"a": b"500", "b": RESIDENT}),
        (3000, None, HEADED, {"a": b"0", "b": RESIDENT}),
        (2999, None, HEADED, {"a": b"1000", "b": b"0"}),  # 1999 are left: in the head they would cost more than all
        (400, None, HEADED, {"a": b"400", "b": b"0"}),
        (9000, None, HEADED, {"a": b"1000", "b": b"8000"}),
        ("80%", None, HEADED, {"a": b"200", "b": RESIDENT}),
        ("50%", None, HEADED, {"a": b"1000", "b": b"0"}),
        ("0%", None, HEADED, {"a": b"0", "b": b"0"}),
        ("100%", None, HEADED, {"a": RESIDENT, "b": RESIDENT}),
        (None, "50%", HEADED, {"a": b"500", "b": RESIDENT}),
        (None, 700, HEADED, {"a": b"700", "b": b"700"}),
        (None, {"b": 700}, HEADED, {"a": None, "b": b"700"}),
        (400, None, UNKNOWN, {"a": b"400"}),
        (5000, None, ONE, {"a": b"5000"}),
        (400, None, TWO, {"a": b"100", "b": b"300"}),
        (4000, None, TWO, {"a": b"1000", "b": b"3000"}),
        ("1G", None, TWO, {"a": b"1000", "b": b"3000"}),
        (0, None, TWO, {"a": b"0", "b": b"0"}),
        ("50%", None, TWO, {"a": b"500", "b": b"1500"}),
        ("33%", None, ONE, {"a": b"330"}),
        ("100%", None, TWO, {"a": b"9223372036854775807", "b": b"9223372036854775807"}),
        ("100%", None, UNKNOWN, {"a": b"9223372036854775807"}),
        ("0%", None, UNKNOWN, {"a": b"0"}),
        (None, 400, TWO, {"a": b"400", "b": b"400"}),
        (None, "1K", UNKNOWN, {"a": b"1024"}),
        (None, "25%", TWO, {"a": b"250", "b": b"750"}),
        (None, {"b": 7}, TWO, {"a": None, "b": b"7"}),
        (None, {"a": "auto", "b": None}, TWO, {"a": None, "b": None}),
        (None, {"a": "10%", "b": "100%"}, TWO, {"a": b"100", "b": b"9223372036854775807"}),
        (5, None, [], {}),
        (400, None, SHARED, {"a": b"100", "b": b"300", "c": b"100"}),
        (4000, None, SHARED, {"a": b"1000", "b": b"3000", "c": b"1000"}),
        ("50%", None, SHARED, {"a": b"500", "b": b"1500", "c": b"500"}),
        (None, {"a": 7}, SHARED, {"a": b"7", "b": None, "c": b"7"}),
        (None, {"c": 7, "b": 1}, SHARED, {"a": b"7", "b": b"1", "c": b"7"}),
        (None, {"c": "1K", "a": 1024}, SHARED, {"a": b"1024", "b": None, "c": b"1024"}),
    ],
)
def test_bake(total: Any, each: Any, engines: list[EngineSize], want: dict[str, bytes | None]) -> None:
    assert budget.bake(total, each, engines) == want


@pytest.mark.parametrize(
    ("total", "each", "engines", "says"),
    [
        (1, 2, TWO, "one of the two"),
        ("free-1G", None, TWO, 'Give "free-N" when the program is loaded'),
        (None, "free-1G", TWO, "when the program is loaded"),
        (None, {"a": "free-1G"}, TWO, "weight_streaming_budget_per_engine['a']"),
        (None, {"c": 1}, TWO, "no engine named 'c'"),
        ("50%", None, UNKNOWN, "whose streamable size is not known"),
        (None, {"a": "50%"}, UNKNOWN, "whose streamable size is not known"),
        (400, None, [*TWO, EngineSize("c", None)], "'c' whose streamable size is not known"),
        (False, None, TWO, "found False"),
        (-1, None, TWO, "found -1"),
        (None, {"a": 2.0}, TWO, "found 2.0 (float)"),
        (None, 2**63, TWO, "found 9223372036854775808"),
        (None, {"a": 1, "c": 2}, SHARED, "1 for 'a' and 2 for 'c'"),
        (None, {"a": "auto", "c": 2}, SHARED, "whose weights are there once"),
    ],
)
def test_bake_refused(total: Any, each: Any, engines: list[EngineSize], says: str) -> None:
    with pytest.raises(BudgetError, match=re.escape(says)):
        budget.bake(total, each, engines)


@given(ENGINES, st.integers(0, 2**48))
def test_split_gives_away_all_of_the_total_and_never_more(engines: list[EngineSize], total: int) -> None:
    parts = budget.split(total, engines)
    given_away = sum(part or 0 for part in parts.values())
    streamable = sum(engine.streamable_bytes or 0 for engine in engines)
    assert list(parts) == [engine.name for engine in engines]
    assert given_away <= total
    if total < streamable:
        assert given_away == total, "nothing is lost to rounding"
    elif any(engine.estimated and engine.streamable_bytes for engine in engines):
        assert given_away == total, "what is left covers estimates that were too low"
    else:
        assert given_away == streamable


@given(ENGINES, st.integers(0, 2**48))
def test_split_counts_weights_once(engines: list[EngineSize], total: int) -> None:
    """Twins of all engines change nothing, and have what these have."""
    twins = [replace(engine, name=f"{engine.name}-twin", weights_of=engine.name) for engine in engines]
    alone, both = budget.split(total, engines), budget.split(total, [*twins, *engines])
    assert {name: both[name] for name in alone} == alone
    assert all(both[f"{name}-twin"] == part for name, part in alone.items())


@given(ENGINES, st.integers(0, 2**48))
def test_split_gives_an_engine_its_share_or_exactly_its_size(engines: list[EngineSize], total: int) -> None:
    parts = budget.split(total, engines)
    streamable = sum(engine.streamable_bytes or 0 for engine in engines)
    for engine in engines:
        part, size = parts[engine.name], engine.streamable_bytes or 0
        if part is None:
            assert size == 0 and not engine.estimated
        elif total < streamable:
            assert part <= size
            assert 0 <= part - total * size // streamable <= 1, "at most one odd byte over the exact share"
        elif engine.estimated:
            assert part >= size
        else:
            assert part == size, "never S less a remainder: that is the hole"


@given(ENGINES)
def test_a_total_of_exactly_the_sum_gives_every_engine_its_size(engines: list[EngineSize]) -> None:
    parts = budget.split(sum(engine.streamable_bytes or 0 for engine in engines), engines)
    assert all((parts[engine.name] or 0) == engine.streamable_bytes for engine in engines)


def test_errors_say_four_things_and_survive_pickling() -> None:
    import pickle

    error: BudgetError = pickle.loads(pickle.dumps(BudgetError("the key", 1.5, "an integer", "Write one.")))
    assert isinstance(error, ValueError)
    assert (error.subject, error.found, error.expected, error.next_step) == ("the key", 1.5, "an integer", "Write one.")
    assert str(error) == "the key: found 1.5; expected an integer. Write one."


@pytest.mark.parametrize("value", [None, {}, {"encoder": 5}])
def test_a_change_needs_a_budget(value: object) -> None:
    with pytest.raises(BudgetError, match=f"budget: found {re.escape(repr(value))}"):
        budget.change_options(value)  # type: ignore[arg-type]


def test_a_change_is_one_value_for_each_engine() -> None:
    assert budget.change_options("1KiB") == budget.load_options(weight_streaming_budget_per_engine="1KiB")


@pytest.mark.parametrize(
    ("call", "offered"),
    [
        (
            lambda: budget.load_options(weight_streaming_budget_per_engine={"a": "x"}, engine_names=["a"]),
            '"0%" or "100%"',
        ),
        (lambda: budget.bake("x", None, [EngineSize("a", 5)]), '"N%"'),
        (lambda: budget.bake(None, {"a": "x"}, [EngineSize("a", 5)]), '"N%"'),
        (lambda: budget.load_options("x"), '"free-N"'),
    ],
    ids=["one at load", "save", "one at save", "load"],
)
def test_what_an_error_offers_is_taken_there(call: Callable[[], object], offered: str) -> None:
    with pytest.raises(BudgetError) as caught:
        call()
    assert offered in caught.value.expected
    assert ("free-N" in caught.value.expected) == (offered == '"free-N"')


def test_nothing_is_baked_for_an_engine_without_streamable_weights() -> None:
    resident, streaming = EngineSize("resident", 0), EngineSize("streaming", 100)
    per_engine: dict[str, int | str | None] = {"resident": 5, "streaming": "50%"}
    for total, each in (("50%", None), (None, "50%"), (None, per_engine)):
        baked = budget.bake(total, each, [resident, streaming])
        assert baked == {"resident": None, "streaming": b"50"}
        assert budget.without_effect(total, each, [resident, streaming]) == ["resident"]
    assert budget.without_effect(None, {"streaming": 5}, [resident, streaming]) == []
    assert budget.without_effect("auto", None, [resident]) == []
    assert budget.without_effect("50%", None, [EngineSize("unknown", None), EngineSize("guess", 0, True)]) == []

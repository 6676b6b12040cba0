"""torchtrt_ws.budget.quantities: bandwidths and times as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchtrt_ws.budget.quantities import bandwidth, duration
from torchtrt_ws.errors import BudgetError


@pytest.mark.parametrize(
    ("text", "bytes_per_second"),
    [
        ("25GB/s", 25e9),
        ("23.5GiB/s", 23.5 * 2**30),
        ("1B/s", 1),
        ("7kB/s", 7e3),
        ("7KiB/s", 7 * 2**10),
        ("0.5MB/s", 5e5),
        ("3MiB/s", 3 * 2**20),
        ("1TB/s", 1e12),
        ("1TiB/s", 2**40),
        (54_500_000_000, 54.5e9),
        (5.4e10, 54e9),
    ],
)
def test_bandwidths(text: float | str, bytes_per_second: float) -> None:
    assert bandwidth(text) == pytest.approx(bytes_per_second, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "seconds"), [("50ms", 0.05), ("0.05s", 0.05), ("800us", 8e-4), ("2s", 2), (0.05, 0.05), (3, 3)]
)
def test_times(text: float | str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds, rel=1e-12)


REFUSED = ["", "25", "25 GB/s", "-25GB/s", "+1GB/s", "GB/s", ".5GB/s", "5.GB/s", "1e9B/s", "1,5GB/s", "0GB/s", "0.0B/s"]


@pytest.mark.parametrize(
    "text",
    [*REFUSED, "25Gb/s", "25gb/s", "25KB/s", "25GB", "25GBps", "25G/s", "25GB/S", "50ms", "9" * 40 + "B/s", "9999TB/s"],
)
def test_no_bandwidth(text: str) -> None:
    with pytest.raises(BudgetError, match='"25GB/s"') as caught:
        bandwidth(text)
    assert caught.value.subject == "bandwidth"


@pytest.mark.parametrize(
    "text", [*REFUSED, "50", "50 ms", "50MS", "50m", "1h", "25GB/s", "1ns", "0ms", "-1s", "inf", "nans"]
)
def test_no_time(text: str) -> None:
    with pytest.raises(BudgetError, match='"50ms"') as caught:
        duration(text, "the target")
    assert caught.value.subject == "the target"


@pytest.mark.parametrize("value", [True, None, 0, -1, float("nan"), float("inf"), 10**400, [1], b"1GB/s"])
def test_no_number(value: object) -> None:
    for read in (bandwidth, duration):
        with pytest.raises(BudgetError):
            read(value)  # type: ignore[arg-type]


@given(st.text("0123456789.BkKMGTi/smu -", max_size=12))
def test_a_text_is_read_or_refused(text: str) -> None:
    for read in (bandwidth, duration):
        try:
            assert 0 < read(text) <= 1e15
        except BudgetError:
            continue

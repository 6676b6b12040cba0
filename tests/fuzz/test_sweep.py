"""A sample of tests/fuzz/sweep.py, which says what the outcomes mean. make fuzz runs all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from warm_python import python

SWEEP = Path(__file__).with_name("sweep.py")


ONE, TWO = ("forward",), ("first", "second")  # the second program has the engine of both once


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Path]:
    folder = tmp_path_factory.mktemp("sweep")
    paths: dict[tuple[str, ...], Path] = {}
    for methods in (ONE, TWO):
        paths[methods] = folder / f"{len(methods)}.pte"
        done = python(SWEEP, "--methods", *methods, "--save", paths[methods], exports=True)
        assert done.returncode == 0, done.stderr
    return paths


@pytest.mark.parametrize("methods", [ONE, TWO], ids=["one", "two"])
@pytest.mark.parametrize("reader", ["python", "native"])
@pytest.mark.parametrize("cache", ["fresh", "warm", "off"])
def test_a_changed_byte_is_refused_or_changes_nothing(
    programs: dict[tuple[str, ...], Path], methods: tuple[str, ...], reader: str, cache: str
) -> None:
    command = [SWEEP, "--program", programs[methods], "--methods", *methods]
    command += ["--every", "23" if methods == ONE else "61", "--reader", reader]
    done = python(*command, "--cache", cache, timeout=600)
    assert done.returncode == 0, done.stdout

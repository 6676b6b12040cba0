"""Garbage is left alone for a moment, and only then."""

from __future__ import annotations

import gc

import pytest

from torchtrt_ws.export.collection import no_collection


def test_it_is_collected_again_whatever_happens() -> None:
    assert gc.isenabled()
    with no_collection():
        assert not gc.isenabled()
        with no_collection():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), no_collection():
        raise KeyError
    assert gc.isenabled()

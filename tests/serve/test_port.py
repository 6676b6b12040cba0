"""Ports are kept, and only for one that shares them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from torchtrt_ws.errors import EngineError
from torchtrt_ws.serve.port import reserved


@pytest.fixture
def kept() -> Iterator[socket.socket]:
    with reserved("127.0.0.1", 0) as found:
        yield found


def listening(address: tuple[str, int], *options: int) -> socket.socket:
    found = socket.socket()
    for option in (socket.SO_REUSEADDR, *options):
        found.setsockopt(socket.SOL_SOCKET, option, 1)
    found.bind(address)
    found.listen()
    return found


def test_nobody_else_gets_it(kept: socket.socket) -> None:
    with pytest.raises(OSError) as said:
        listening(kept.getsockname())
    assert said.value.errno == errno.EADDRINUSE


def test_the_one_that_shares_it_gets_every_connection(kept: socket.socket) -> None:
    address = kept.getsockname()
    with listening(address, socket.SO_REUSEPORT) as proxy:
        proxy.settimeout(10)
        for _ in range(50):
            with socket.create_connection(address, timeout=10) as client:
                accepted, peer = proxy.accept()
                accepted.close()
                assert peer == client.getsockname()


@pytest.mark.parametrize("options", [(), (socket.SO_REUSEPORT,)], ids=["alone", "shared"])
def test_what_somebody_has_is_refused(options: tuple[int, ...]) -> None:
    with listening(("127.0.0.1", 0), *options) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match=rf"found Address already in use \(port {port}\)"):
            reserved("127.0.0.1", port)

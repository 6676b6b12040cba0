"""A port kept for a server that another process starts."""

from __future__ import annotations

import socket

from torchtrt_ws.errors import EngineError

__all__ = ["reserved"]


def reserved(host: str, port: int) -> socket.socket:
    """Takes `port`, or a free one for 0, for whoever listens there with SO_REUSEPORT, as Ray's proxy does.

    Until that has started, and while it is started again, nobody else is given the port: each of Ray's processes asks
    for some. This socket does not listen, so it gets none of the connections.

    Args:
        host: The address.
        port: 0 for a free one.

    Raises:
        EngineError: The address is not free. Ray would start and then say that its proxy ended, and no more.
    """
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that ended a moment ago do not count
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        reason = f"{error.strerror or error} (port {port})"
        raise EngineError(f"serve at {host}", reason, "an address that is free", "Choose another port.") from None
    # Shared from now on, with one that says SO_REUSEPORT: said before, a port that another shares would look free.
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return found

"""`torchtrt-ws keygen`: a key pair to sign with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["keygen"]


def keygen(
    path: Annotated[
        Path, typer.Argument(metavar="KEY.pem", help="The private key to write. KEY.pub.pem: the public one.")
    ],
) -> None:
    """Make an Ed25519 key pair. Prints where the public key is."""
    from torchtrt_ws.trust import new_key

    print(new_key(path))

"""`torchtrt-ws sign`: a signature file for a .pte."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["sign"]


def sign(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The .pte.")],
    key: Annotated[Path, typer.Option(metavar="KEY.pem", help="The private key.")],
    signature: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="SIG", help="The signature to write; FILE.sig by default.")
    ] = None,
) -> None:
    """Sign a .pte. Prints where the signature is."""
    from torchtrt_ws import trust

    print(trust.sign(path, key, signature=signature))

"""`torchtrt-ws verify`: whether a .pte is one that a key signed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["verify"]


def verify(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The .pte.")],
    keys: Annotated[
        list[Path], typer.Option("--key", metavar="PUB.pem", help="A public key to trust; repeat for others.")
    ],
    signature: Annotated[Path | None, typer.Option(metavar="SIG", help="The signature; FILE.sig by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; sizes are integer bytes.")] = False,
) -> None:
    """Check who signed a .pte, and that it is unchanged. Exit code 1: it is not what one of the keys signed."""
    from torchtrt_ws import trust

    signed = trust.verify(path, keys, signature=signature)
    if as_json:
        print(json.dumps({"file": str(path), "key_id": signed.key_id, **signed.manifest.as_dict()}))
        return
    print(f"{path}: {signed.manifest.size} bytes, signed by {signed.key_id}")
    for engine in signed.manifest.engines:
        print(f"engine {engine.name}: SHA-256 {engine.sha256}")

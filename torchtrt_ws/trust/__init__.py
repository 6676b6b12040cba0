"""Who made a .pte: Ed25519 signatures in a file beside it, and loading nothing else than what was signed.

`pip install torchtrt-ws[sign]` brings the package `cryptography`, which is imported when a key is first read. What a
signature says and what it does not: SECURITY.md.
"""

from torchtrt_ws.trust.keys import new_key
from torchtrt_ws.trust.manifest import Manifest, SignedEngine, SignedManifest
from torchtrt_ws.trust.opened import opened_verified
from torchtrt_ws.trust.signature import sign, verify

__all__ = ["Manifest", "SignedEngine", "SignedManifest", "new_key", "opened_verified", "sign", "verify"]

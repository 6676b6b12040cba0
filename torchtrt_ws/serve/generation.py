"""Generation with a decoder that keeps its cache, as examples/llm saves it. Knows no Ray, and no programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.runtime.signature import Signature
from torchtrt_ws.serve.protocol import GenerateRequest

__all__ = ["generated", "prompt_limit"]

Run = Callable[[np.ndarray[Any, Any], np.ndarray[Any, Any]], np.ndarray[Any, Any]]


def prompt_limit(signature: Signature) -> int | None:
    """Tokens that one call of a decoder takes at most; None for a method that is no decoder.

    A decoder takes `ids`, int64 [1, count], and `start`, int64 [1]: how many tokens came before; and gives the logits
    of the token behind the last, [1, vocabulary]. What its cache holds behind `start` it never looks at.

    Args:
        signature: Of the method.
    """
    inputs = [(spec.name, spec.dtype, len(spec.shape or ())) for spec in signature.inputs]
    outputs = [len(spec.shape or ()) for spec in signature.outputs]
    if inputs != [("ids", "int64", 2), ("start", "int64", 1)] or outputs != [2]:
        return None
    shape = signature.inputs[0].shape
    return None if shape is None or shape[0] != 1 else shape[1]


def generated(run: Run, asked: GenerateRequest, limit: int, kept: int) -> Iterator[int]:
    """Continues a prompt, a token at a time.

    Args:
        run: Takes ids and start, and gives logits.
        asked: What a client asks.
        limit: Tokens of one call; a longer prompt goes in pieces.
        kept: Tokens that the cache holds.

    Yields:
        Token ids.

    Raises:
        ProgramError: Prompt and answer are more than the cache holds; before the first call.
    """
    if len(asked.ids) + asked.max_tokens > kept:
        found = f"{len(asked.ids)} tokens and {asked.max_tokens} to make"
        raise ProgramError("the request", found, f"at most {kept} together, as the cache holds", "Ask for fewer.")
    draw = np.random.default_rng(asked.seed)
    start, pending = 0, list(asked.ids)
    for _ in range(asked.max_tokens):
        logits = np.empty(0)
        while pending:
            piece, pending = pending[:limit], pending[limit:]
            logits = run(np.array([piece]), np.array([start]))
            start += len(piece)
        token = _chosen(logits[0].astype(np.float64), asked, draw)
        if token in asked.stop:
            return
        yield token
        pending = [token]


def _chosen(logits: np.ndarray[Any, Any], asked: GenerateRequest, draw: np.random.Generator) -> int:
    if asked.top_k == 1:
        return int(logits.argmax())
    most = np.argpartition(logits, -min(asked.top_k, len(logits)))[-asked.top_k :]
    scaled = (logits[most] - logits.max()) / asked.temperature
    likely = np.exp(scaled) / np.exp(scaled).sum()
    return int(draw.choice(most, p=likely))

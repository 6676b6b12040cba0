"""A request for generation: the protocol's generate extension, with token ids in place of text. No tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.serve.protocol.fields import parameters, refused

__all__ = ["GenerateRequest", "decode_generate"]

_MOST = 2**20  # ids, and tokens
_COLDEST, _HOTTEST = 1e-6, 1e6  # beyond, the most likely token or any


@dataclass(frozen=True)
class GenerateRequest:
    """What a client asks.

    Args:
        ids: The prompt, one token or more.
        max_tokens: To make at most.
        top_k: Each is drawn from the so many most likely ones; 1 takes the most likely.
        temperature: The higher, the less it matters how likely they are.
        seed: Of what is drawn; None for another one each time.
        stop: Tokens that end it, and are not told.
    """

    ids: tuple[int, ...]
    max_tokens: int = 16
    top_k: int = 1
    temperature: float = 1.0
    seed: int | None = None
    stop: frozenset[int] = frozenset()


def decode_generate(body: bytes) -> GenerateRequest:
    """Reads a request: `{"input_ids": [1, 2], "parameters": {"max_tokens": 8, "stop_token_ids": [0]}}`.

    Args:
        body: Of the HTTP request.

    Raises:
        ProgramError: It is not of this form; the error says what.
    """
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProgramError("the request", f"{error}", "a JSON object", "Mend the request.") from None
    if not isinstance(request, dict):
        raise refused("the request", request, "a JSON object")
    options = parameters(request, "the request")
    known = {"max_tokens", "top_k", "temperature", "seed", "stop_token_ids"}
    if unknown := sorted(set(options) - known):
        raise refused("'parameters'", unknown[0], f"some of {', '.join(sorted(known))}")
    ids = _ids(request, "input_ids")
    if not ids:
        raise refused("'input_ids'", [], "one token or more")
    temperature = options.get("temperature", 1.0)
    if type(temperature) not in (int, float) or not _COLDEST <= temperature <= _HOTTEST:
        raise refused("'temperature'", temperature, f"a number from {_COLDEST:g} to {_HOTTEST:g}")
    seed = None if options.get("seed") is None else _count(options, "seed", 0, 0)
    return GenerateRequest(
        tuple(ids),
        _count(options, "max_tokens", 16, 1),
        _count(options, "top_k", 1, 1),
        float(temperature),
        seed,
        frozenset(_ids(options, "stop_token_ids")),
    )


def _ids(item: Mapping[str, Any], key: str) -> list[int]:
    value = item.get(key, [])
    if (
        not isinstance(value, list)
        or len(value) > _MOST
        or any(type(i) is not int or not 0 <= i < 2**31 for i in value)
    ):
        raise refused(repr(key), value, f"a list of at most {_MOST} token ids")
    return value


def _count(item: Mapping[str, Any], key: str, usual: int, least: int) -> int:
    value = item.get(key, usual)
    if type(value) is not int or not least <= value <= _MOST:
        raise refused(repr(key), value, f"a whole number from {least} to {_MOST}")
    return value

"""Requests for generation, and what a decoder makes of them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.serve.generation import generated
from torchtrt_ws.serve.protocol import GenerateRequest, decode_generate

VOCABULARY = 7


class Decoder:
    """The next token is the sum of all tokens before it; it keeps them, and remembers how it was called."""

    def __init__(self) -> None:
        self.kept = [5] * 99  # of another conversation
        self.pieces: list[int] = []

    def __call__(self, ids: np.ndarray, start: np.ndarray) -> np.ndarray:
        assert ids.dtype == start.dtype == np.int64
        count = ids.shape[1]
        self.kept[start[0] : start[0] + count] = ids[0].tolist()
        self.pieces.append(count)
        total = sum(self.kept[: start[0] + count])
        return -np.abs(np.arange(VOCABULARY) - total % VOCABULARY, dtype=np.float32)[None] * 3


def test_a_prompt_goes_in_pieces_and_is_continued() -> None:
    decoder = Decoder()
    found = list(generated(decoder, GenerateRequest((1, 2, 3, 4, 5), max_tokens=4), limit=2, kept=9))
    assert found == [1, 2, 4, 1]
    assert decoder.pieces == [2, 2, 1, 1, 1, 1], "the last token is told, and not run"


def test_a_stop_token_ends_it_and_is_not_told() -> None:
    asked = GenerateRequest((1, 2, 3, 4, 5), max_tokens=4, stop=frozenset({4}))
    assert list(generated(Decoder(), asked, limit=8, kept=99)) == [1, 2]


def test_more_than_the_cache_holds_is_refused_before_a_call() -> None:
    decoder = Decoder()
    with pytest.raises(ProgramError, match="5 tokens and 5 to make; expected at most 9 together"):
        next(generated(decoder, GenerateRequest((1,) * 5, max_tokens=5), limit=2, kept=9))
    assert decoder.pieces == []


def test_drawing_is_by_seed_and_by_likelihood() -> None:
    def first(seed: int, **changes: Any) -> int:
        asked = GenerateRequest((3,), max_tokens=1, seed=seed, **changes)
        return next(generated(Decoder(), asked, limit=1, kept=9))

    drawn = Counter(first(seed, top_k=3) for seed in range(200))
    assert set(drawn) <= {2, 3, 4} and len(drawn) > 1, "the three most likely"
    assert drawn.most_common(1)[0][0] == 3
    assert first(1, top_k=3) == first(1, top_k=3)
    for temperature in (1e-3, 1e-6):
        assert set(Counter(first(seed, top_k=100, temperature=temperature) for seed in range(20))) == {3}


def test_decode() -> None:
    parameters = {"max_tokens": 3, "top_k": 2, "temperature": 2, "seed": 7, "stop_token_ids": [0]}
    asked = decode_generate(json.dumps({"input_ids": [1, 2], "parameters": parameters}).encode())
    assert asked == GenerateRequest((1, 2), 3, 2, 2.0, 7, frozenset({0}))
    assert decode_generate(b'{"input_ids": [1]}') == GenerateRequest((1,))


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("{", "the request: found"),
        ("[]", "the request: found []"),
        ("{}", "'input_ids': found []; expected one token or more"),
        ('{"input_ids": [1.5]}', "'input_ids': found [1.5]"),
        ('{"input_ids": [-1]}', "'input_ids': found [-1]"),
        ('{"input_ids": [true]}', "'input_ids': found [True]"),
        ('{"input_ids": "text"}', "'input_ids': found 'text'"),
        ('{"input_ids": [1], "parameters": {"max_token": 1}}', "'parameters': found 'max_token'"),
        ('{"input_ids": [1], "parameters": {"max_tokens": 0}}', "'max_tokens': found 0"),
        ('{"input_ids": [1], "parameters": {"top_k": 1.0}}', "'top_k': found 1.0"),
        ('{"input_ids": [1], "parameters": {"temperature": 0}}', "'temperature': found 0"),
        ('{"input_ids": [1], "parameters": {"temperature": NaN}}', "'temperature': found nan"),
        ('{"input_ids": [1], "parameters": {"temperature": %s}}' % ("9" * 400), "'temperature': found 999"),
        ('{"input_ids": [1], "parameters": {"temperature": 1e-46}}', "expected a number from 1e-06 to 1e+06"),
        ('{"input_ids": [1], "parameters": {"seed": -1}}', "'seed': found -1"),
    ],
)
def test_what_is_wrong_is_told(body: str, found: str) -> None:
    with pytest.raises(ProgramError) as error:
        decode_generate(body.encode())
    assert found in str(error.value)

"""Continues a text with a program that examples/llm/save.py wrote.

    python examples/llm/generate.py smollm2.pte "What is the capital of France?" [--weight-streaming-budget 50%]

The program is any of torchtrt-ws: on the CPU, or on a GPU with as many of its weights there as the budget says. No
torch is needed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerBase

import torchtrt_ws
from torchtrt_ws.runtime import Program

__all__ = ["generate"]


def generate(
    program: Program,
    ids: Sequence[int],
    *,
    tokens: int = 64,
    top_k: int = 1,
    temperature: float = 1.0,
    seed: int | None = None,
    end: Sequence[int] = (),
) -> Iterator[int]:
    """Continues a prompt, a token at a time. What the program kept of another one is not looked at.

    Args:
        program: Its method takes `ids`, int64 [1, count], and `start`, int64 [1], and gives logits [1, vocabulary].
        ids: The prompt. One that is longer than the program's largest `count` goes in pieces.
        tokens: How many to make at most.
        top_k: Each is drawn from the so many most likely ones; 1 takes the most likely one.
        temperature: The higher, the less it matters how likely they are.
        seed: Of what is drawn.
        end: Tokens that end it; they are not among the results.

    Yields:
        Token ids.
    """
    if not ids:
        raise ValueError("found an empty prompt; expected one token or more")
    shape = program.inputs[0].shape
    assert shape is not None, "a program of save.py"
    draw = np.random.default_rng(seed)
    start, pending = 0, list(ids)
    for _ in range(tokens):
        while pending:
            piece, pending = pending[: shape[1]], pending[shape[1] :]
            (logits,) = program(ids=np.array([piece]), start=np.array([start]))
            start += len(piece)
        token = _choose(np.asarray(logits)[0].astype(np.float32), top_k, temperature, draw)
        if token in end:
            return
        yield token
        pending = [token]


def _choose(logits: np.ndarray, top_k: int, temperature: float, draw: np.random.Generator) -> int:
    if top_k == 1:
        return int(logits.argmax())
    most = np.argpartition(logits, -top_k)[-top_k:]
    scaled = (logits[most] - logits.max()) / temperature
    likely = np.exp(scaled) / np.exp(scaled).sum()
    return int(draw.choice(most, p=likely))


def conversation(tokenizer: PreTrainedTokenizerBase, question: str) -> list[int]:
    """A question as the model was trained to be asked; as it is where the tokenizer has no template."""
    if tokenizer.chat_template is None:
        return list(tokenizer(question)["input_ids"])
    messages = [{"role": "user", "content": question}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("question")
    parser.add_argument("--weight-streaming-budget", metavar="B")
    parser.add_argument("--tokens", type=int, default=64, help="at most")
    parser.add_argument("--top-k", type=int, default=1)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--seed", type=int)
    arguments = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(arguments.program.with_suffix(".tokenizer"))
    program = torchtrt_ws.load(arguments.program, weight_streaming_budget=arguments.weight_streaming_budget)
    made: list[int] = []
    started = time.perf_counter()
    for token in generate(
        program,
        conversation(tokenizer, arguments.question),
        tokens=arguments.tokens,
        top_k=arguments.top_k,
        temperature=arguments.temperature,
        seed=arguments.seed,
        end=[tokenizer.eos_token_id],
    ):
        shown = len(tokenizer.decode(made))
        made.append(token)
        print(tokenizer.decode(made)[shown:], end="", flush=True)
    seconds = time.perf_counter() - started
    print()
    kept = ", ".join(f"{each.name} {each.budget_bytes / 2**20:.0f} MiB" for each in program.engines)
    print(f"{len(made)} tokens in {seconds:.2f} s; weights on the device: {kept}", file=sys.stderr)


if __name__ == "__main__":
    main()

"""The layers of Llama 3 8B as a TensorRT network without a cache: 15.0 GB of random float16 weights, named."""

from __future__ import annotations

from typing import Any

import numpy as np

TOKENS, WIDTH, HIDDEN, HEADS, KEY_HEADS, VOCABULARY = 16, 4096, 14336, 32, 8, 128256
SIZE = WIDTH // HEADS
MATRICES = {  # takes, gives
    "q": (WIDTH, WIDTH),
    "k": (WIDTH, KEY_HEADS * SIZE),
    "v": (WIDTH, KEY_HEADS * SIZE),
    "o": (WIDTH, WIDTH),
    "gate": (WIDTH, HIDDEN),
    "up": (WIDTH, HIDDEN),
    "down": (HIDDEN, WIDTH),
}
PERIOD = 1_048_583  # elements after which a matrix repeats: drawing all of them would take minutes


def shapes(layers: int) -> dict[str, tuple[int, int]]:
    """By name, each [takes, gives]."""
    named = {f"layers.{layer}.{name}": shape for layer in range(layers) for name, shape in MATRICES.items()}
    return {**named, "head": (WIDTH, VOCABULARY)}


def weight(name: str, layers: int) -> np.ndarray:
    """float16, of a seed, the same each time."""
    named = shapes(layers)
    drawn = np.random.default_rng(list(named).index(name)).normal(size=PERIOD).astype(np.float16) * np.float16(0.02)
    return np.resize(drawn, named[name])


class Layers:
    """Writes one network: `x` float16 [16, 4096] to `y` float16 [16, 128256]."""

    def __init__(self, trt: Any, network: Any, layers: int) -> None:
        self.trt, self.network, self.layers = trt, network, layers
        self.kept: list[Any] = []  # TensorRT reads weights when it builds
        x = network.add_input("x", trt.float16, (TOKENS, WIDTH))
        for layer in range(layers):
            self.place = f"layers.{layer}."
            x = self._sum(x, self._attention(self._norm(x)))
            x = self._sum(x, self._gated(self._norm(x)))
        self.place = ""
        y = self._matrix(self._norm(x), "head")
        y.name = "y"
        network.mark_output(y)

    def _matrix(self, x: Any, name: str) -> Any:
        values = weight(self.place + name, self.layers)
        given = self.trt.Weights(values)
        constant = self.network.add_constant(values.shape, given)
        self.network.set_weights_name(given, self.place + name)
        self.kept.append((values, given))
        return self._product(x, constant.get_output(0))

    def _product(self, a: Any, b: Any, transposed: bool = False) -> Any:
        none, turned = self.trt.MatrixOperation.NONE, self.trt.MatrixOperation.TRANSPOSE
        return self.network.add_matrix_multiply(a, none, b, turned if transposed else none).get_output(0)

    def _each(self, a: Any, b: Any, operation: str) -> Any:
        return self.network.add_elementwise(a, b, getattr(self.trt.ElementWiseOperation, operation)).get_output(0)

    def _sum(self, a: Any, b: Any) -> Any:
        return self._each(a, b, "SUM")

    def _number(self, value: float, rank: int) -> Any:
        values = np.full((1,) * rank, value, np.float16)
        self.kept.append(values)
        return self.network.add_constant(values.shape, self.trt.Weights(values)).get_output(0)

    def _norm(self, x: Any) -> Any:
        """Root mean square."""
        squares = self._each(x, x, "PROD")
        mean = self.network.add_reduce(squares, self.trt.ReduceOperation.AVG, 1 << 1, True).get_output(0)
        root = self.network.add_unary(self._sum(mean, self._number(1e-5, 2)), self.trt.UnaryOperation.SQRT)
        return self._each(x, root.get_output(0), "DIV")

    def _shaped(self, x: Any, first: tuple[int, ...], turn: tuple[int, ...], then: tuple[int, ...]) -> Any:
        shuffle = self.network.add_shuffle(x)
        shuffle.reshape_dims, shuffle.second_transpose = first, turn
        last = self.network.add_shuffle(shuffle.get_output(0))
        last.reshape_dims = then
        return last.get_output(0)

    def _attention(self, x: Any) -> Any:
        group = HEADS // KEY_HEADS
        queries = (KEY_HEADS, group * TOKENS, SIZE)
        q = self._shaped(self._matrix(x, "q"), (TOKENS, KEY_HEADS, group, SIZE), (1, 2, 0, 3), queries)
        keys = (KEY_HEADS, TOKENS, SIZE)
        k, v = (self._shaped(self._matrix(x, each), (TOKENS, KEY_HEADS, SIZE), (1, 0, 2), keys) for each in "kv")
        scores = self._each(self._product(q, k, transposed=True), self._number(SIZE**-0.5, 3), "PROD")
        softmax = self.network.add_softmax(scores)
        softmax.axes = 1 << 2
        y = self._product(softmax.get_output(0), v)
        y = self._shaped(y, (KEY_HEADS, group, TOKENS, SIZE), (2, 0, 1, 3), (TOKENS, WIDTH))
        return self._matrix(y, "o")

    def _gated(self, x: Any) -> Any:
        gate, up = self._matrix(x, "gate"), self._matrix(x, "up")
        sigmoid = self.network.add_activation(gate, self.trt.ActivationType.SIGMOID).get_output(0)
        return self._matrix(self._each(self._each(gate, sigmoid, "PROD"), up, "PROD"), "down")

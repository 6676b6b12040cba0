"""Host programs of two linear layers (8 MiB of weights), saved once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FEATURES = 1024  # two layers of FEATURES x FEATURES float32: 8 MiB of weights
BAKED = 3 * 2**20


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder for packed weights of its own: tests neither find nor leave any."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHTRT_WS_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def model() -> Any:
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(FEATURES, FEATURES), torch.nn.ReLU(), torch.nn.Linear(FEATURES, FEATURES)
    )


@pytest.fixture(scope="session")
def save(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Saves the model, with the keywords of torchtrt_ws.save."""
    import torch

    import torchtrt_ws

    folder = tmp_path_factory.mktemp("programs")

    def save(name: str, **keywords: Any) -> Path:
        path = folder / f"{name}.pte"
        torchtrt_ws.save(model, path, arg_inputs=(torch.zeros(2, FEATURES),), **keywords)
        return path

    return save


@pytest.fixture(scope="session")
def plain(save: Callable[..., Path]) -> Path:
    """Nothing baked."""
    return save("plain")


@pytest.fixture(scope="session")
def baked(save: Callable[..., Path]) -> Path:
    """With BAKED bytes baked in."""
    return save("baked", weight_streaming_budget=BAKED)


@pytest.fixture(scope="session")
def dynamic(save: Callable[..., Path]) -> Path:
    """With 1 to 8 rows."""
    import torch

    return save("dynamic", dynamic_shapes=({0: torch.export.Dim("rows", min=1, max=8)},))


LAYERS = {"narrow": (256, 512), "middle": (512, 1024), "wide": (1024, 1024)}  # inputs and outputs: 0.5, 2 and 4 MiB


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three engines of different sizes, each the method of its name: one linear layer of ones."""
    import torch

    import torchtrt_ws

    layers = {name: torch.nn.Linear(*sizes) for name, sizes in LAYERS.items()}
    for layer in layers.values():
        torch.nn.init.ones_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    path = tmp_path_factory.mktemp("three") / "three.pte"
    torchtrt_ws.save(layers, path, arg_inputs={n: (torch.zeros(2, layers[n].in_features),) for n in layers})
    return path


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, FEATURES)).astype(np.float32)


@pytest.fixture
def want(model: Any, x: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        return model(torch.from_numpy(x)).numpy()

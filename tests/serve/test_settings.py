"""What a config may say, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from torchtrt_ws.errors import BudgetError, ProgramError

ray = pytest.importorskip("ray")
ROOT = Path(__file__).resolve().parent.parent.parent


def model(**changes: Any) -> dict[str, Any]:
    return {"models": {"m": {"file": "m.pte", **changes}}}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, "models: found"),
        ({"models": {}}, "models: found"),
        ({"models": {"a/b": {"file": "m.pte"}}}, "models.a/b.[key]: found 'a/b'"),
        ({**model(), "port": 1}, "port: found 1; expected Extra inputs are not permitted"),
        (model(budgets="40%"), "models.m.budgets: found '40%'"),
        (model(max_batch_size=0), "models.m.max_batch_size: found 0"),
        (model(num_gpus=-1), "models.m.num_gpus: found -1"),
        (model(num_replicas="two"), "models.m.num_replicas: found 'two'"),
    ],
)
def test_settings_that_are_wrong(given: dict[str, Any], found: str) -> None:
    from torchtrt_ws import serve

    with pytest.raises(ProgramError) as error:
        serve.app(given)
    assert found in str(error.value)


def test_a_budget_that_cannot_be_read() -> None:
    from torchtrt_ws import serve

    with pytest.raises(BudgetError, match=r"budget: found '140%'; expected \"auto\""):
        serve.app(model(budget="140%"))
    with pytest.raises(BudgetError, match="headroom: found 'auto'; expected a number of bytes"):
        serve.app(model(headroom="auto"))


def test_what_goes_to_load() -> None:
    from torchtrt_ws.serve.settings import settings_of

    def options(**changes: Any) -> dict[str, Any]:
        return settings_of(model(**changes)).models["m"].load_options

    assert options() == {"contexts": 1}
    assert options(num_gpus=0.5) == {"contexts": 1, "device_id": 0}, "Ray shows a replica its own GPUs only"
    assert options(num_gpus=2, device=1, margin="1GiB", load={"cuda_graph": "auto"}) == {
        "contexts": 1, "device_id": 1, "weight_streaming_margin": "1GiB", "cuda_graph": "auto",
    }  # fmt: skip


def test_the_example_is_a_config_of_ray_serve() -> None:
    """As `serve run` reads it, and as the builder does."""
    import yaml
    from ray.serve.schema import ServeDeploySchema

    from torchtrt_ws.serve.settings import settings_of

    config = yaml.safe_load((ROOT / "examples" / "ray_serve" / "config.yaml").read_text())
    (application,) = ServeDeploySchema.model_validate(config).applications
    assert application.import_path == "torchtrt_ws.serve:app"
    assert settings_of(application.args).models.keys() == {"demo"}

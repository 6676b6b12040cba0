"""The deployments of an application, and how they know each other."""

from __future__ import annotations

from typing import Any

from ray import serve
from ray.serve.config import RequestRouterConfig

from torchtrt_ws.serve import ingress
from torchtrt_ws.serve.asked_budgets import AskedBudgets
from torchtrt_ws.serve.replica import Replica
from torchtrt_ws.serve.settings import AppSettings, ModelSettings

__all__ = ["application"]

_LIGHT = {"num_cpus": 0}  # beside what computes
# Seconds. Requests that wait before full replicas ask again at such intervals; with Ray's 0.5 s replicas that answer in
# milliseconds run dry meanwhile.
_BACKOFF_S = 0.05


def application(settings: AppSettings) -> Any:
    """HTTP in front, a deployment for each model behind it, and one process that remembers budgets.

    Args:
        settings: What is served.

    Returns:
        A `ray.serve.Application`. A config that changes the `user_config` of the deployment `model-<name>` alone
        reconfigures its replicas.
    """
    asked = serve.deployment(AskedBudgets).options(ray_actor_options=_LIGHT).bind()
    models = {name: _model(name, each, asked) for name, each in settings.models.items()}
    front = ingress.deployment().options(
        num_replicas=settings.num_ingress,
        ray_actor_options=_LIGHT,
        max_ongoing_requests=1000,  # it waits for the replicas, who have limits
    )
    return front.bind(models, asked, settings.admin, settings.max_body_bytes)


def _model(name: str, settings: ModelSettings, asked: Any) -> Any:
    options = {"num_cpus": settings.num_cpus, "num_gpus": settings.num_gpus}
    deployment = serve.deployment(Replica).options(
        name=f"model-{name}",
        num_replicas=settings.num_replicas,
        ray_actor_options=options,
        max_ongoing_requests=settings.ongoing,
        max_queued_requests=settings.max_queued_requests,
        health_check_period_s=settings.health_check_period_s,
        request_router_config=RequestRouterConfig(max_backoff_s=_BACKOFF_S),
        user_config={"budget": settings.budget},
    )
    return deployment.bind(settings.model_copy(update={"budget": None}), asked, name)

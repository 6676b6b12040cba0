"""The whole: Ray Serve, real programs, and tritonclient as it comes. One Ray for all tests."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import torchtrt_ws

ray = pytest.importorskip("ray")
triton = pytest.importorskip("tritonclient.http")

FEATURES = 256
QUIET = "40%"  # the budget that the config says
SECONDS = 120  # until something must have happened; nothing here takes that long


def settings(files: dict[str, Path], **changes: Any) -> dict[str, Any]:
    light = {"num_cpus": 0.1, "health_check_period_s": 1}
    return {
        "models": {
            "rows": {
                "file": str(files["rows"]),
                "budget": QUIET,
                "num_replicas": 2,
                "max_batch_size": 8,
                "batch_wait_timeout_s": 0.01,
                **light,
            },
            # One at a time, and one that waits: the rest is refused.
            "narrow": {"file": str(files["rows"]), "max_ongoing_requests": 1, "max_queued_requests": 1, **light},
            "fixed": {"file": str(files["fixed"]), **light},
            "sums": {"file": str(files["sums"]), "cache_tokens": 32, **light},
        },
        "admin": True,
        "max_body_bytes": 2**20,
        **changes,
    }


@pytest.fixture(scope="module")
def server(files: dict[str, Path]) -> Iterator[Any]:
    from torchtrt_ws import serve

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    with serve.start(settings(files), port=0) as server:
        yield server
    ray.shutdown()


@pytest.fixture
def client(server: Any) -> Iterator[Any]:
    with triton.InferenceServerClient(server.url.removeprefix("http://"), concurrency=4) as client:
        yield client


def get(url: str, body: object = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Status and answer: JSON where it is some. With a body it is a POST."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    return status, json.loads(text) if text.startswith(("{", "[")) else text


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


class Work:
    """Requests of one and more rows, with the right answers to them."""

    def __init__(self, file: Path) -> None:
        self._program = torchtrt_ws.load(file)
        self.given: list[dict[str, Any]] = []
        self._right: list[Any] = []
        random = np.random.default_rng(0)
        for number in range(24):
            count = 1 + number % 3
            x = random.standard_normal((count, FEATURES)).astype(np.float32)
            tensors = {"x": x, "shift": random.standard_normal((count, 1)).astype(np.float32)}
            self.given.append(tensors)
            self._right.append(self._program(**tensors))

    def inputs(self, number: int, binary: bool = True) -> list[Any]:
        made = []
        for name, array in self.given[number % len(self.given)].items():
            made.append(triton.InferInput(name, list(array.shape), "FP32"))
            made[-1].set_data_from_numpy(array, binary_data=binary)
        return made

    def check(self, number: int, result: Any) -> None:
        for name, right in zip(("output_0", "output_1"), self._right[number % len(self.given)], strict=True):
            np.testing.assert_allclose(result.as_numpy(name), right, rtol=1e-5, atol=1e-4)

    def ask(self, url: str, number: int, model: str = "rows", retries: bool = False) -> str:
        """One request as a client sends it, on a connection of its own; with `retries`, again after 503."""
        end = time.monotonic() + SECONDS
        while True:
            with triton.InferenceServerClient(
                url.removeprefix("http://"), connection_timeout=SECONDS, network_timeout=SECONDS
            ) as client:
                try:
                    result = client.infer(model, self.inputs(number))
                except Exception as error:
                    status = getattr(error, "status", lambda: None)() or repr(error)
                    if not retries or time.monotonic() > end:
                        return str(status)
                    time.sleep(0.1)
                    continue
            self.check(number, result)
            return "200"


@pytest.fixture(scope="module")
def work(files: dict[str, Path]) -> Work:
    return Work(files["rows"])


def test_it_says_what_it_serves(server: Any, client: Any) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.get_server_metadata()["version"] == torchtrt_ws.__version__
    assert {"binary_tensor_data", "statistics"} <= set(client.get_server_metadata()["extensions"])
    assert client.is_model_ready("rows") and client.is_model_ready("rows", "1")
    assert client.get_model_metadata("rows") == {
        "name": "rows",
        "versions": ["1"],
        "platform": "executorch_torchtrt_ws",
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [-1, FEATURES]},
            {"name": "shift", "datatype": "FP32", "shape": [-1, 1]},
        ],
        "outputs": [
            {"name": "output_0", "datatype": "FP32", "shape": [-1, FEATURES]},
            {"name": "output_1", "datatype": "FP32", "shape": [-1]},
        ],
    }
    assert {(each["name"], each["state"]) for each in client.get_model_repository_index()} == {
        ("rows", "READY"), ("narrow", "READY"), ("fixed", "READY"), ("sums", "READY"),
    }  # fmt: skip
    assert not client.is_model_ready("nobody") and not client.is_model_ready("rows", "2")


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_infer(client: Any, work: Work, binary: bool) -> None:
    for number in range(3):
        work.check(number, client.infer("rows", work.inputs(number, binary), request_id=str(number)))
    wanted = [triton.InferRequestedOutput("output_1", binary_data=not binary)]
    result = client.infer("rows", work.inputs(1, binary), outputs=wanted)
    assert [each["name"] for each in result.get_response()["outputs"]] == ["output_1"]
    assert client.infer("rows", work.inputs(0), request_id="7").get_response()["id"] == "7"


def test_infer_with_bfloat16(client: Any) -> None:
    inputs = [triton.InferInput("x", [2, 3], "BF16"), triton.InferInput("shift", [1], "BF16")]
    inputs[0].set_data_from_numpy(np.arange(6).reshape(2, 3).astype(ml_dtypes.bfloat16))
    inputs[1].set_data_from_numpy(np.ones(1, ml_dtypes.bfloat16))
    found = client.infer("fixed", inputs).as_numpy("output")
    np.testing.assert_array_equal(np.asarray(found, np.float32), 1 + np.arange(6).reshape(2, 3))


def test_generation_is_streamed_and_conversations_do_not_meet(server: Any) -> None:
    """Each next token is the sum of those before; what another conversation left in the cache is not in it."""
    url = f"{server.url}/v2/models/sums"

    def tokens(prompt: list[int]) -> list[int]:
        status, text = get(f"{url}/generate_stream", {"input_ids": prompt, "parameters": {"max_tokens": 10}})
        assert status == 200
        events = [json.loads(each.removeprefix("data: ")) for each in text.strip().split("\n\n")]
        assert {each["model_name"] for each in events} == {"sums"}
        return [each["token_id"] for each in events]

    def right(prompt: list[int]) -> list[int]:
        kept = list(prompt)
        for _ in range(10):
            kept.append(sum(kept) % 7)
        return kept[len(prompt) :]

    prompts = [[number + 1] * (1 + number % 6) for number in range(12)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(tokens, prompts)) == list(map(right, prompts))
    status, answer = get(f"{url}/generate_stream", {"input_ids": [1] * 30, "parameters": {"max_tokens": 3}})
    assert (status, "at most 32 together" in answer["error"]) == (400, True)
    status, answer = get(f"{server.url}/v2/models/rows/generate_stream", {"input_ids": [1]})
    assert (status, "expected a decoder" in answer["error"]) == (400, True)
    tensors = [
        {"name": "ids", "shape": [1, 1], "datatype": "INT64", "data": [1]},
        {"name": "start", "shape": [1], "datatype": "INT64", "data": [0]},
    ]
    status, answer = get(f"{url}/infer", {"inputs": tensors})
    assert (status, "keeps state" in answer["error"]) == (400, True), "clients would meet in it"


def test_requests_share_calls(server: Any, client: Any, work: Work) -> None:
    def counts() -> tuple[int, int, int]:
        (stats,) = client.get_inference_statistics("rows")["model_stats"]
        return stats["inference_stats"]["success"]["count"], stats["inference_count"], stats["execution_count"]

    def burst() -> bool:
        """Whether of some requests at the same time two or more shared a call."""
        before = counts()
        with ThreadPoolExecutor(24) as threads:
            assert set(threads.map(lambda number: work.ask(server.url, number), range(48))) == {"200"}
        requests, rows, calls = (after - was for after, was in zip(counts(), before, strict=True))
        assert requests == 48
        assert rows == 2 * sum(len(each["x"]) for each in work.given)
        assert rows / 8 <= calls <= requests
        return calls < requests

    until(burst)


def test_what_is_wrong_is_told(server: Any, work: Work) -> None:
    url = f"{server.url}/v2/models/rows/infer"
    x = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
    shift = {"name": "shift", "shape": [1, 1], "datatype": "FP32", "data": [0]}
    for body, want, text in (
        (b"{", 400, "the request: found"),
        ({"inputs": [x, shift]}, 400, "input 'x': found shape [1, 3]; expected shape within [1..16, 256]"),
        ({"inputs": [{**x, "datatype": "BYTES"}]}, 400, "found 'BYTES'; expected one of BOOL"),
        ({"inputs": [shift]}, 400, "nothing for x"),
        (b" " * (2**20 + 1), 413, "more than 1048576 bytes"),
    ):
        status, answer = get(url, body)
        assert (status, text in answer["error"]) == (want, True), answer
    assert get(url, b"{}", {"Inference-Header-Content-Length": "-1"})[0] == 400
    assert get(url, b"{}", {"Content-Encoding": "gzip"})[0] == 415
    status, answer = get(f"{server.url}/v2/models/nobody/infer", {"inputs": []})
    assert (status, answer["error"]) == (404, "model 'nobody': expected one of rows, narrow, fixed, sums")
    assert work.ask(server.url, 0) == "200"


def budgets(server: Any) -> dict[int, tuple[int, int]]:
    """By process: budget and streamable bytes."""
    _, answer = get(f"{server.url}/v2/models/rows/budget")
    engines = {each["pid"]: each["engines"][0] for each in answer["replicas"]}
    return {pid: (engine["budget_bytes"], engine["streamable_bytes"]) for pid, engine in engines.items()}


def set_budget(server: Any, budget: object) -> tuple[int, Any]:
    return get(f"{server.url}/v2/models/rows/budget", {"budget": budget})


def test_budgets_change_under_traffic_and_nothing_is_lost(server: Any, work: Work) -> None:
    assert {budget for budget, _ in budgets(server).values()} == {
        whole * 40 // 100 for _, whole in budgets(server).values()
    }, "the config's"
    ended = threading.Event()

    def client(first: int) -> set[str]:
        found, number = set(), first
        while not ended.is_set():
            found.add(work.ask(server.url, number))
            number += 1
        return found

    with ThreadPoolExecutor(4) as threads:
        clients = [threads.submit(client, number) for number in range(4)]
        try:
            for budget, share in (("0%", 0.0), ("100%", 1.0), ("0%", 0.0), ("16KiB", None)):
                assert set_budget(server, budget)[0] == 200
                found = budgets(server)
                assert len(found) == 2
                for bytes_, whole in found.values():
                    assert bytes_ == (16384 if share is None else share * whole)
        finally:
            ended.set()
        assert set.union(*(each.result() for each in clients)) == {"200"}
    for wrong, text in ((True, "budget: found"), ("140%", "'140%'"), (-1, "-1"), (None, 'expected {"budget": B}')):
        status, answer = set_budget(server, wrong)
        assert (status, text in answer["error"]) == (400, True), answer
    assert {budget for budget, _ in budgets(server).values()} == {16384}


def test_a_replica_that_is_killed_costs_time_only(server: Any, work: Work) -> None:
    """Clients that try again after 503 lose nothing, and the new replica has the budget that was asked for last."""
    assert set_budget(server, 8192)[0] == 200
    victim, survivor = budgets(server)
    answered = threading.Semaphore(0)

    def ask(number: int) -> str:
        found = work.ask(server.url, number, retries=True)
        answered.release()
        return found

    with ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(ask, number) for number in range(200)]
        for _ in range(20):
            answered.acquire()
        os.kill(victim, signal.SIGKILL)
        assert {each.result() for each in futures} == {"200"}
    until(lambda: len(budgets(server)) == 2)
    after = budgets(server)
    assert survivor in after and victim not in after
    assert {budget for budget, _ in after.values()} == {8192}
    assert work.ask(server.url, 0) == "200"


def test_the_only_replica_is_killed(server: Any, work: Work) -> None:
    _, answer = get(f"{server.url}/v2/models/narrow/budget")
    ((pid,),) = [[each["pid"] for each in answer["replicas"]]]
    os.kill(pid, signal.SIGKILL)
    assert work.ask(server.url, 0, "narrow", retries=True) == "200"
    until(lambda: get(f"{server.url}/v2/models/narrow/ready")[0] == 200)


def test_overload_is_refused_and_over_when_it_ends(server: Any, work: Work) -> None:
    found: set[str] = set()

    def burst() -> bool:
        with ThreadPoolExecutor(32) as threads:
            found.update(threads.map(lambda number: work.ask(server.url, number, "narrow"), range(64)))
        return len(found) > 1

    until(burst)
    assert found == {"200", "503"}, "some are answered, and rightly; the others are told to come later"
    assert work.ask(server.url, 0, "narrow") == "200"


def test_metrics(server: Any) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    status, text = get(f"{server.url}/metrics")
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(text)}
    served = [each for each in families["torchtrt_ws_serve_requests"].samples if each.labels["model"] == "rows"]
    assert len({each.labels["replica"] for each in served}) == 2 and sum(each.value for each in served) > 0
    runs = [each for each in families["torchtrt_ws_engine_runs"].samples if each.labels["model"] == "rows"]
    calls = [each for each in families["torchtrt_ws_serve_calls"].samples if each.labels["model"] == "rows"]
    assert {each.labels["replica"]: each.value for each in runs} == {
        each.labels["replica"]: each.value for each in calls
    }


def test_a_config_changes_budgets_in_place(server: Any, files: dict[str, Path]) -> None:
    """As `serve deploy` does it: with another user_config the process stays, and the config has the last word."""
    from ray import serve
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    def deploy(budget: str) -> tuple[int, int, int]:
        model = {"file": str(files["rows"]), "num_cpus": 0.1}
        application = {
            "name": "declared",
            "route_prefix": "/declared",
            "import_path": "torchtrt_ws.serve:app",
            "args": {"models": {"rows": model}},
            "deployments": [{"name": "model-rows", "user_config": {"budget": budget}}],
        }
        _get_global_client().deploy_apps(ServeDeploySchema.model_validate({"applications": [application]}))
        until(lambda: serve.status().applications["declared"].status == "RUNNING")  # by itself Ray waits for a minute
        url = f"{server.url}/declared/v2/models/rows"
        until(lambda: get(f"{url}/ready")[0] == 200)
        (replica,) = get(f"{url}/budget")[1]["replicas"]
        (engine,) = replica["engines"]
        return replica["pid"], engine["budget_bytes"], engine["streamable_bytes"]

    process, found, whole = deploy("0%")
    assert found == 0
    until(lambda: deploy("100%") == (process, whole, whole))
    status, answer = get(f"{server.url}/declared/v2/models/rows/budget", {"budget": "0%"})
    assert (status, "--admin" in answer["error"]) == (403, True)

"""save(weights="separate"): host engines without their weights, and these once in a file beside the program."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from executorch.exir._serialize._cord import Cord
from executorch.exir._serialize._named_data_store import NamedDataStore
from executorch.exir._serialize._program import deserialize_pte_binary
from executorch.exir._serialize.data_serializer import DataPayload
from executorch.exir.tensor_layout import TensorLayout
from executorch.extension.flat_tensor.serialize.serialize import FlatTensorSerializer
from executorch.extension.pybindings.portable_lib import _load_for_executorch

import torchtrt_ws
from torchtrt_ws import blob, pte
from torchtrt_ws.export.sources import host_weights

WORDS, WIDTH = 100, 64
TABLE = WORDS * WIDTH * 4  # bytes
LAYERS = 2 * 4 * (WIDTH * WIDTH + WIDTH)


class Words(torch.nn.Module):
    """A table that a portable kernel reads, and two layers for XNNPACK."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.table = torch.nn.Embedding(WORDS, WIDTH)
        self.first = torch.nn.Linear(WIDTH, WIDTH)
        self.second = torch.nn.Linear(WIDTH, WIDTH)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(self.table(tokens))))


@pytest.fixture(scope="module")
def words() -> Words:
    return Words().eval()


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    return torch.arange(8).reshape(2, 4)


@pytest.fixture(scope="module")
def folder(words: Words, tokens: torch.Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """full.pte; stripped.pte with stripped.ptd."""
    folder = tmp_path_factory.mktemp("separate")
    torchtrt_ws.save(words, folder / "full.pte", arg_inputs=(tokens,))
    torchtrt_ws.save(words, folder / "stripped.pte", arg_inputs=(tokens,), weights="separate")
    return folder


def weights_of(path: Path, engine: int = 0) -> blob.SeparateWeights:
    found = pte.read(path).engines[engine].weights
    assert found is not None
    return found


def data_of(path: Path) -> dict[str, bytes]:
    whole = path.read_bytes()
    regions = pte.regions_in_data_file(path)
    return {key: whole[each.offset : each.offset + each.size] for key, each in regions.items()}


def test_the_program_is_small_and_the_weights_are_beside_it(folder: Path, words: Words) -> None:
    stripped, full = pte.read(folder / "stripped.pte"), pte.read(folder / "full.pte")
    weights = weights_of(folder / "stripped.pte")
    assert weights.file == "stripped.ptd" and stripped.data_files == (str(folder / "stripped.ptd"),)
    assert weights.nbytes == TABLE + LAYERS
    assert stripped.engines[0].engine_bytes < full.engines[0].engine_bytes - weights.nbytes + 2048
    assert stripped.engines[0].streamable_bytes == full.engines[0].streamable_bytes == LAYERS
    (table,) = [each for each in weights.tensors if each.name == "table.weight"]
    assert (table.dtype, table.count, table.bytes, table.shape) == ("float32", TABLE // 4, TABLE, (WORDS, WIDTH))
    assert table.sha256 == hashlib.sha256(words.table.weight.detach().numpy().tobytes()).hexdigest()
    assert stripped.as_dict()["engines"][0]["weights"]["tensors"][-1]["shape"] == [WORDS, WIDTH]


def test_the_file_has_each_weight_under_a_key_of_its_content(folder: Path) -> None:
    weights, data = weights_of(folder / "stripped.pte"), data_of(folder / "stripped.ptd")
    assert {each.key for each in weights.tensors} == set(data)
    for each in weights.tensors:
        assert each.key == "torchtrt_ws.weights/" + each.sha256
        assert hashlib.sha256(data[each.key]).hexdigest() == each.sha256
        assert each.bytes == len(data[each.key])
    assert all(each.offset % 64 == 0 for each in pte.regions_in_data_file(folder / "stripped.ptd").values())
    theirs = FlatTensorSerializer().deserialize(Cord((folder / "stripped.ptd").read_bytes()))
    assert {key: theirs.buffers[each.buffer_index] for key, each in theirs.named_data.items()} == data


def test_executorch_alone_computes_with_them(
    folder: Path, words: Words, tokens: torch.Tensor, nested: Callable[..., blob.Blob], tmp_path: Path
) -> None:
    """The program inside asks for the names that the blob lists, and for no others."""
    (tmp_path / "inside.pte").write_bytes(nested(folder / "stripped.pte").engine)
    store, data = NamedDataStore(), data_of(folder / "stripped.ptd")
    for each in weights_of(folder / "stripped.pte").tensors:
        layout = None if each.shape is None else TensorLayout.from_tensor(torch.empty(each.shape))
        store.add_named_data(each.name, data[each.key], 128, "file", layout)
    output = store.get_named_data_store_output()
    file = FlatTensorSerializer().serialize(DataPayload(output.buffers, output.external_data["file"]))
    (tmp_path / "inside.ptd").write_bytes(bytes(file))
    inside = _load_for_executorch(str(tmp_path / "inside.pte"), str(tmp_path / "inside.ptd"))
    (found,) = inside.run_method("forward", (tokens,))
    torch.testing.assert_close(found, words(tokens), atol=1e-5, rtol=1e-5)


def test_weights_go_back_to_where_they_were(folder: Path, nested: Callable[..., blob.Blob]) -> None:
    full = bytes(nested(folder / "full.pte").engine)
    whole = deserialize_pte_binary(full)
    stripped, weights = host_weights.take_out(whole)
    again = deserialize_pte_binary(bytes(host_weights.serialized(stripped)))
    data = {each.name: bytes(each.payload._view) for each in weights}  # type: ignore[attr-defined]
    merged = host_weights.put_back(again, data, [each.name for each in weights if each.shape is not None])
    assert bytes(host_weights.serialized(merged)) == full


def test_equal_weights_of_methods_are_stored_once(words: Words, tokens: torch.Tensor, tmp_path: Path) -> None:
    class Other(torch.nn.Module):
        """The same table, and a layer of its own, which is most of it: a program of its own inside."""

        def __init__(self) -> None:
            super().__init__()
            self.table = words.table
            self.large = torch.nn.Linear(WIDTH, 512)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.large(self.table(tokens))

    path = tmp_path / "both.pte"
    methods = {"one": words, "other": Other().eval()}
    torchtrt_ws.save(methods, path, arg_inputs={name: (tokens,) for name in methods}, weights="separate")
    one, other = weights_of(path), weights_of(path, 1)
    assert one != other, "two programs inside"
    shared = {each.key for each in one.tensors} & {each.key for each in other.tensors}
    assert shared == {each.key for each in one.tensors if each.name == "table.weight"}
    assert (tmp_path / "both.ptd").stat().st_size < one.nbytes + other.nbytes - TABLE + 8192


def test_a_path_of_its_own(words: Words, tokens: torch.Tensor, tmp_path: Path) -> None:
    target = tmp_path / "shared.ptd"
    torchtrt_ws.save(words, tmp_path / "a.pte", arg_inputs=(tokens,), weights="separate", weights_path=target)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.pte", "shared.ptd"]
    assert weights_of(tmp_path / "a.pte").file == "shared.ptd"
    assert pte.read(tmp_path / "a.pte").data_files == (str(target),)


def test_a_save_that_fails_leaves_both_files(folder: Path, tokens: torch.Tensor, monkeypatch: Any) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    torch.manual_seed(6)
    with torch.no_grad():
        other = Words().eval()
        other.first.weight.mul_(2)
    rename = torchtrt_ws.atomic.os.replace  # type: ignore[attr-defined]

    def fails(source: Any, target: Any) -> None:
        if str(target).endswith(".pte"):
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr("torchtrt_ws.atomic.os.replace", fails)
    with pytest.raises(torchtrt_ws.ProgramError, match="Input/output error"):
        torchtrt_ws.save(other, folder / "stripped.pte", arg_inputs=(tokens,), weights="separate")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ({"weights": "apart"}, "weights: found 'apart'; expected 'separate' or None"),
        ({"refit": True}, 'refit: found True for a host engine; expected engine="tensorrt_rtx"'),
        ({"weights_path": "a.ptd"}, "weights_path: found 'a.ptd'; expected weights=\"separate\" beside it"),
        ({"weights": "separate", "weights_path": "no/such/folder.ptd"}, "no folder"),
    ],
)
def test_keywords_that_cannot_be(words: Words, tmp_path: Path, keywords: dict[str, Any], says: str) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=says):
        torchtrt_ws.save(words, tmp_path / "a.pte", **keywords)
    assert list(tmp_path.iterdir()) == []


def test_an_engine_for_a_gpu_needs_one_to_be_built_without_weights(
    words: Words, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("torchtrt_ws.export.sources.tensorrt_rtx.has_gpu", lambda: False)
    with pytest.raises(torchtrt_ws.EngineError, match=r"no NVIDIA GPU .*save_plan\(plan, path, weights=\.\.\.\)"):
        torchtrt_ws.save(words, tmp_path / "a.pte", engine="tensorrt_rtx", weights="separate")
    with pytest.raises(torchtrt_ws.EngineError, match=r"refit=True: found no NVIDIA GPU .*save_plan\(plan, path\)"):
        torchtrt_ws.save(words, tmp_path / "a.pte", engine="tensorrt_rtx", refit=True)


def test_a_plan_without_weights_takes_them_back_as_they_are(monkeypatch: Any, tmp_path: Path) -> None:
    """The flags that are asked of TensorRT-RTX: REFIT only for who wants other weights."""
    from types import SimpleNamespace

    from torchtrt_ws.export.sources import tensorrt_rtx

    asked: list[str] = []
    flags = SimpleNamespace(**{name: name for name in ("WEIGHT_STREAMING", "STRIP_PLAN", "REFIT_IDENTICAL", "REFIT")})
    config = SimpleNamespace(set_flag=asked.append)
    builder = SimpleNamespace(
        create_network=lambda flags: None,
        create_builder_config=lambda: config,
        build_serialized_network_to_stream=lambda network, config, stream: bool(stream.write(b"plan")),
    )
    parser = SimpleNamespace(load_model_proto=lambda data, path: True, parse_model_proto=lambda: True)
    model = SimpleNamespace(path=tmp_path / "a.onnx", weights={})
    model.path.write_bytes(b"model")
    trt = SimpleNamespace(
        Builder=lambda log: builder,
        BuilderFlag=flags,
        NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1),
        OnnxParser=lambda network, log: parser,
        IStreamWriter=object,
    )
    monkeypatch.setattr(tensorrt_rtx, "import_tensorrt_rtx", lambda: trt)
    monkeypatch.setattr(tensorrt_rtx, "_log", lambda trt: None)
    monkeypatch.setattr(tensorrt_rtx, "_check_tensors", lambda *facts: None)
    tensorrt_rtx.build_plan("forward", model, SimpleNamespace(), separate=True)  # type: ignore[arg-type]
    assert sorted(asked) == ["REFIT_IDENTICAL", "STRIP_PLAN", "WEIGHT_STREAMING"]
    asked.clear()
    tensorrt_rtx.build_plan("forward", model, SimpleNamespace())  # type: ignore[arg-type]
    assert asked == ["WEIGHT_STREAMING"]
    asked.clear()
    tensorrt_rtx.build_plan("forward", model, SimpleNamespace(), refit=True)  # type: ignore[arg-type]
    assert asked == ["WEIGHT_STREAMING", "REFIT"]
    asked.clear()
    tensorrt_rtx.build_plan("forward", model, SimpleNamespace(), separate=True, refit=True)  # type: ignore[arg-type]
    assert asked == ["WEIGHT_STREAMING", "STRIP_PLAN", "REFIT"]

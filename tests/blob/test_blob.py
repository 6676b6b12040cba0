"""torchtrt_ws.blob: golden and hostile files, round trips, and Torch-TensorRT's own reader and writer."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchtrt_ws import blob
from torchtrt_ws.errors import BlobError

HERE = Path(__file__).parent


def load_file(name: str, path: Path) -> ModuleType:
    """Imports a Python file that is not on the path."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


make_golden = load_file("make_golden", HERE / "make_golden.py")
GOLDEN = json.loads((HERE / "golden" / "manifest.json").read_text())  # GTest reads the same files
HOSTILE = json.loads((HERE / "hostile" / "manifest.json").read_text())

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NAMES = TEXTS.filter(bool)
SIZES = st.integers(0, 2**63 - 1)


@st.composite
def tensors(draw: st.DrawFn, names: list[str]) -> tuple[blob.TensorFacts, ...]:
    result = []
    for name in names:
        low = draw(st.lists(st.integers(0, 2**40), max_size=8))
        dynamic = draw(st.lists(st.booleans(), min_size=len(low), max_size=len(low)))
        high = [
            d + draw(SIZES.filter(lambda x: x < 2**40)) if free else d for d, free in zip(low, dynamic, strict=True)
        ]
        shape = tuple(-1 if free else d for d, free in zip(low, dynamic, strict=True))
        result.append(blob.TensorFacts(name, draw(NAMES), shape, tuple(low), tuple(high)))
    return tuple(result)


@st.composite
def profiles(draw: st.DrawFn, inputs: tuple[blob.TensorFacts, ...]) -> tuple[blob.OptimizationProfile, ...]:
    def bounds(tensor: blob.TensorFacts) -> blob.ProfileBounds:
        ranges = zip(tensor.min, tensor.max, strict=True)
        sizes = [sorted(draw(st.tuples(*[st.integers(low, high)] * 3))) for low, high in ranges]
        low, best, high = (tuple(each[end] for each in sizes) for end in range(3))
        return blob.ProfileBounds(tensor.name, low, best, high)

    return tuple(tuple(map(bounds, inputs)) for _ in range(draw(st.integers(0, 3))))


@st.composite
def states(draw: st.DrawFn, taken: list[str]) -> tuple[blob.StateTensor, ...]:
    names = iter(draw(st.lists(NAMES.filter(lambda name: name not in taken), max_size=6, unique=True)))
    shapes = st.lists(SIZES, max_size=4).map(tuple)
    return tuple(blob.StateTensor(*pair, draw(NAMES), draw(shapes)) for pair in zip(names, names, strict=False))


def separate_weights() -> st.SearchStrategy[blob.SeparateWeights]:
    digests = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
    sizes = st.integers(1, 2**63 - 1)
    checksums = st.integers(0, 2**32 - 1)
    shapes = st.none() | st.lists(SIZES, max_size=8).map(tuple)
    weight = st.builds(blob.SeparateWeight, NAMES, NAMES, NAMES, sizes, sizes, checksums, digests, shapes)
    lists = st.lists(weight, min_size=1, max_size=4, unique_by=lambda each: each.name).map(tuple)
    files = NAMES.filter(lambda name: not set(name) & set("/\\") and name not in (".", ".."))
    return st.builds(blob.SeparateWeights, files, lists)


CAPABILITIES = st.lists(st.from_regex(r"[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True), max_size=3, unique=True).map(tuple)


@st.composite
def variants(draw: st.DrawFn, weights: blob.SeparateWeights) -> tuple[blob.Variant, ...]:
    names = [each.name for each in weights.tensors]
    found: list[blob.Variant] = []
    end = 0
    for _ in range(draw(st.sampled_from([0, 2, 3]))):
        offset = end + (16 * draw(st.integers(0, 3)) if found else 0)
        size = draw(st.integers(1, 40))
        found.append(
            blob.Variant(
                offset,
                size,
                draw(st.from_regex(r"[0-9a-f]{64}", fullmatch=True)),
                draw(st.from_regex(r"[0-9a-f]{8}", fullmatch=True)),
                draw(TEXTS),
                draw(TEXTS),
                draw(CAPABILITIES),
                draw(st.booleans()),
                draw(st.none() | SIZES),
                draw(st.booleans()),
                draw(st.none() | st.lists(st.sampled_from(names), min_size=1, unique=True).map(tuple)),
            )
        )
        end = -(-(offset + size) // 16) * 16
    return tuple(found)


def streaming_facts() -> st.SearchStrategy[blob.StreamingFacts]:
    weights = st.builds(blob.WeightSize, TEXTS, SIZES)
    lists = st.lists(weights, max_size=3).map(tuple)
    parts = st.sampled_from(["whole", "body", "head"])
    notes = st.lists(TEXTS, max_size=2).map(tuple)
    return st.builds(blob.StreamingFacts, parts, lists, SIZES, SIZES, lists, st.none() | weights, notes)


@st.composite
def metadata(draw: st.DrawFn) -> blob.Metadata:
    inputs = draw(st.lists(NAMES, max_size=4, unique=True))
    outputs = draw(st.lists(NAMES, max_size=4, unique=True))
    shapes = st.lists(st.integers(-1, 2**63 - 1), max_size=8).map(tuple)
    bindings = tuple(
        blob.Binding(name, draw(TEXTS), draw(shapes), is_input)
        for side, is_input in ((inputs, True), (outputs, False))
        for name in side
    )
    aliased = draw(st.lists(st.sampled_from(outputs), unique=True)) if inputs and outputs else []
    kinds = st.sampled_from(["kv_cache_update", "user"])
    own = None
    if draw(st.booleans()):
        described = draw(tensors(inputs))
        weights = draw(st.none() | separate_weights())
        plans = () if weights is None else draw(variants(weights))
        own = blob.OwnFacts(
            name=draw(st.from_regex(r"[A-Za-z0-9_.-]{1,39}", fullmatch=True)),
            kind=draw(NAMES),
            sha256=draw(st.from_regex(r"[0-9a-f]{64}", fullmatch=True)),
            crc32c=draw(st.none() | st.from_regex(r"[0-9a-f]{8}", fullmatch=True)),
            builder=draw(TEXTS),
            streamable_bytes=draw(st.none() | SIZES),
            streamable_estimated=draw(st.booleans()),
            program_engines=draw(st.integers(1, 2**31 - 1)),
            program_streamable_bytes=draw(st.none() | SIZES),
            inputs=described,
            outputs=draw(tensors(outputs)),
            optimization_profiles=draw(profiles(described)),
            state=draw(states([*inputs, *outputs])),
            streaming=draw(st.none() | streaming_facts()),
            weights=weights,
            compute_capabilities=draw(CAPABILITIES),
            variants=plans,
            schema=3 if plans else 1 if weights is None else 2,
        )
    return blob.Metadata(
        io_bindings=bindings,
        aliased_io=tuple(blob.Alias(out, draw(st.sampled_from(inputs)), draw(kinds)) for out in aliased),
        hardware_compatible=draw(st.booleans()),
        device_id=draw(st.integers(0, 2**31 - 1)),
        serialized_metadata=draw(TEXTS),
        target_platform=draw(TEXTS),
        own=own,
    )


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    """Torch-TensorRT's serialization.py by its file: the package itself does not import without a GPU."""
    spec = importlib.util.find_spec("torch_tensorrt")
    assert spec is not None and spec.submodule_search_locations, "pip install --no-deps torch-tensorrt-rtx==2.14.0"
    folder = Path(next(iter(spec.submodule_search_locations)))
    return load_file("their_serialization", folder / "executorch" / "serialization.py")


def as_theirs(theirs: ModuleType, ours: blob.Metadata) -> Any:
    return theirs.TensorRTBlobMetadata(
        io_bindings=[theirs.TensorRTIOBinding(b.name, b.dtype, list(b.shape), b.is_input) for b in ours.io_bindings],
        aliased_io={a.output: (a.input, a.kind) for a in ours.aliased_io},
        hardware_compatible=ours.hardware_compatible,
        device_id=ours.device_id,
        serialized_metadata=ours.serialized_metadata,
        target_platform=ours.target_platform,
    )


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: row["file"])
def test_golden_files_are_read(row: dict[str, Any]) -> None:
    assert make_golden.describe((HERE / "golden" / row["file"]).read_bytes()) == row["want"]


@pytest.mark.parametrize("row", HOSTILE, ids=lambda row: row["file"])
def test_hostile_files_are_refused(row: dict[str, Any]) -> None:
    with pytest.raises(BlobError) as caught:
        blob.read((HERE / "hostile" / row["file"]).read_bytes(), "model.pte: engine 0")
    message = str(caught.value)
    assert row["error"] == "BlobError"
    assert message.startswith("model.pte: engine 0")
    assert ("upgrade" in message) == (row["code"] == "NewerSchema")
    assert len(message) < 500, "an error is for reading"


@pytest.mark.parametrize(("folder", "make"), [("golden", make_golden.golden), ("hostile", make_golden.hostile)])
def test_files_are_what_make_golden_writes(folder: str, make: Any) -> None:
    wanted = {name: contents for name, (contents, _) in make().items()}
    assert {path.name: path.read_bytes() for path in (HERE / folder).glob("*.bin")} == wanted
    rows = json.loads((HERE / folder / "manifest.json").read_text())
    assert [row["file"] for row in rows] == list(wanted)


def test_the_layout_in_bytes() -> None:
    metadata = blob.Metadata((blob.Binding("x"),))
    text = blob.to_json(metadata)
    written = blob.write(b"engine", metadata)
    assert text == (
        b'{"io_bindings":[{"name":"x","dtype":"","shape":[],"is_input":true}],"aliased_io":[],'
        b'"hardware_compatible":false,"device_id":0,"serialized_metadata":"","target_platform":""}'
    )
    assert written[:4] == b"TR01"
    assert written[4:8] == b"\x20\0\0\0"
    assert written[8:12] == len(text).to_bytes(4, "little")
    assert written[16:24] == b"\x06\0\0\0\0\0\0\0"
    assert written[24:32] == b"\x01\0\0\0\0\0\0\0"
    assert written[32 : 32 + len(text)] == text
    engine_offset = int.from_bytes(written[12:16], "little")
    assert engine_offset % 16 == 0 and 0 <= engine_offset - 32 - len(text) < 16
    assert written[engine_offset:] == b"engine"
    assert written[32 + len(text) : engine_offset].strip(b"\0") == b""


@given(metadata(), st.binary(min_size=1, max_size=64).map(lambda engine: engine + bytes(200)))  # 3 plans fit
def test_round_trip(metadata: blob.Metadata, engine: bytes) -> None:
    written = blob.write(engine, metadata)
    read = blob.read(written)
    assert read.metadata == metadata
    assert read.engine == engine
    assert read.header.aliased == (bool(metadata.aliased_io) or metadata.stripped)
    assert read.header.stripped == metadata.stripped
    assert written[:4] == (b"TR03" if metadata.stripped else b"TR02" if metadata.aliased_io else b"TR01")
    assert blob.header_and_metadata(metadata, len(engine)) + engine == written
    assert len(written) - len(engine) == read.header.engine_offset


def test_the_engine_is_a_view_not_a_copy() -> None:
    buffer = bytearray(blob.write(b"engine", blob.Metadata(())))
    engine = blob.read(buffer).engine
    buffer[-1:] = b"E"
    assert bytes(engine) == b"enginE"


def test_a_prefix_for_an_engine_of_many_gigabytes() -> None:
    prefix = blob.header_and_metadata(blob.Metadata(()), 5 * 2**30)
    assert len(prefix) % 16 == 0
    assert int.from_bytes(prefix[16:24], "little") == 5 * 2**30


@given(metadata(), st.binary(min_size=1, max_size=64).map(lambda engine: engine + bytes(200)))  # 3 plans fit
def test_torch_tensorrt_reads_what_we_write(theirs: ModuleType, metadata: blob.Metadata, engine: bytes) -> None:
    if metadata.stripped:  # they cannot refit, and must not compute without weights
        with pytest.raises(ValueError, match="magic"):
            theirs.deserialize_engine(blob.write(engine, metadata))
        return
    read_engine, read_metadata = theirs.deserialize_engine(blob.write(engine, metadata))
    assert read_engine == engine
    assert read_metadata == as_theirs(theirs, metadata)


@pytest.mark.parametrize("name", ["stripped.bin", "stripped_full.bin"])
def test_torch_tensorrt_refuses_an_engine_without_its_weights(theirs: ModuleType, name: str) -> None:
    """It cannot refit one, and must not compute without weights."""
    contents = (HERE / "golden" / name).read_bytes()
    with pytest.raises(ValueError, match="magic"):
        theirs.deserialize_engine(contents)
    whole = blob.MAGIC_ALIASED + contents[4:]  # the same with a magic that it knows: it is the magic that it refuses
    assert theirs.deserialize_engine(whole)[0] == blob.read(contents).engine


@given(metadata(), st.binary(min_size=1, max_size=64).map(lambda engine: engine + bytes(200)))  # 3 plans fit
def test_we_write_what_torch_tensorrt_writes(theirs: ModuleType, metadata: blob.Metadata, engine: bytes) -> None:
    plain = dataclasses.replace(metadata, own=None)
    written = theirs.serialize_engine(engine, as_theirs(theirs, plain))
    assert blob.write(engine, plain) == written
    assert blob.read(written).metadata == plain


def test_golden_torch_tensorrt_files_are_theirs(theirs: ModuleType) -> None:
    for name in ("torch_tensorrt.bin", "torch_tensorrt_aliased.bin"):
        contents = (HERE / "golden" / name).read_bytes()
        assert theirs.serialize_engine(*theirs.deserialize_engine(contents)) == contents


@given(st.sampled_from(GOLDEN), st.data())
def test_a_mutated_blob_is_read_or_refused(row: dict[str, Any], data: st.DataObject) -> None:
    contents = bytearray((HERE / "golden" / row["file"]).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
    del contents[data.draw(st.integers(0, len(contents))) :]
    try:
        read = blob.read(contents)
    except BlobError:
        return
    assert len(read.engine) == read.header.engine_size <= len(contents)


@given(st.binary(max_size=200))
def test_garbage_is_refused(garbage: bytes) -> None:
    for contents in (garbage, b"TR01" + garbage, make_golden.raw(garbage)):
        try:
            blob.read(contents)
        except BlobError:
            continue
        raise AssertionError("garbage was read")


def test_caps() -> None:
    many = [{"name": str(index)} for index in range(blob.MAX_BINDINGS + 1)]
    padded = json.dumps({"io_bindings": [], "pad": "x" * blob.MAX_METADATA_SIZE}).encode()
    blob.read(make_golden.raw(json.dumps({"io_bindings": many[1:]}).encode()))
    with pytest.raises(BlobError, match="4097 entries; expected at most 4096"):
        blob.read(make_golden.raw(json.dumps({"io_bindings": many}).encode()))
    profiles = make_golden.profile()["optimization_profiles"] * (blob.MAX_BINDINGS + 1)
    with pytest.raises(BlobError, match="optimization_profiles: found 4097 entries; expected at most 4096"):
        blob.read(make_golden.raw(make_golden.dump(torchtrt_ws=make_golden.own(optimization_profiles=profiles))))
    with pytest.raises(BlobError, match="at most 1048576"):
        blob.read(make_golden.raw(padded))
    with pytest.raises(BlobError, match="at most 4194304"):
        blob.parse_metadata(padded + b" " * 3 * blob.MAX_METADATA_SIZE)
    with pytest.raises(BlobError, match="at most 1048576"):
        blob.write(b"engine", blob.Metadata((), serialized_metadata="x" * blob.MAX_METADATA_SIZE))


def test_an_engine_may_be_without_4096_weights() -> None:
    weights = [make_golden.weight(name=f"layers.{index}.{'x' * 400}") for index in range(blob.MAX_BINDINGS)]
    text = make_golden.dump(torchtrt_ws=make_golden.own(**make_golden.weights(*weights)))
    assert blob.MAX_METADATA_SIZE < len(text) < blob.MAX_STRIPPED_METADATA_SIZE
    read = blob.read(make_golden.raw(text, magic=blob.MAGIC_STRIPPED)).metadata.own
    assert read is not None and read.weights is not None
    assert [each.name for each in read.weights.tensors] == [each["name"] for each in weights]
    assert read.weights.nbytes == 16, "all of them are one"
    weights.append(make_golden.weight())
    with pytest.raises(BlobError, match="4097 entries; expected at most 4096"):
        text = make_golden.dump(torchtrt_ws=make_golden.own(**make_golden.weights(*weights)))
        blob.read(make_golden.raw(text, magic=blob.MAGIC_STRIPPED))


def test_an_engine_may_be_in_a_data_file() -> None:
    """As Torch-TensorRT 2.15 may write it."""
    read = blob.read(make_golden.raw(make_golden.dump(engine_key="engine_0", torchtrt_ws=...), b""))
    assert (read.header.engine_size, read.metadata.engine_key) == (0, "engine_0")
    assert blob.parse_metadata(blob.to_json(read.metadata)) == read.metadata
    for key in (7, "", "a\0b", None):
        with pytest.raises(BlobError, match="an engine of 0 bytes"):
            blob.read(make_golden.raw(make_golden.dump(engine_key=key, torchtrt_ws=...), b""))
    text = make_golden.dump(engine_key="engine_0", torchtrt_ws=make_golden.own(**make_golden.weights()))
    with pytest.raises(BlobError, match="an engine of 0 bytes"):
        blob.read(make_golden.raw(text, b"", magic=blob.MAGIC_STRIPPED))


def test_names_of_tensors_in_paths_are_escaped() -> None:
    name = "a\n\x1b[31m" + "b" * 100
    document = make_golden.document(torchtrt_ws=make_golden.own(optimization_profiles=[{}]))
    document["io_bindings"][0]["name"] = document["torchtrt_ws"]["inputs"][0]["name"] = name
    with pytest.raises(BlobError, match=r"optimization_profiles\[0\].a\\n\\u001b\[31mb{51}\.\.\.") as caught:
        blob.read(make_golden.raw(json.dumps(document).encode()))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"device_id": -1}, "metadata.device_id: found -1"),
        ({"target_platform": "a\0b"}, "without NUL"),
        ({"io_bindings": (blob.Binding("x"), blob.Binding("x"))}, "a name of its own"),
        ({"io_bindings": [blob.Binding("x")]}, "tuples"),
        ({"aliased_io": (blob.Alias("y", "x"),)}, "the name of an output"),
        ({"own": blob.OwnFacts("a b", "host", "0" * 64)}, "torchtrt_ws.name"),
        ({"own": blob.OwnFacts("a", "host", "0" * 64, schema=4)}, "upgrade"),
        ({"own": blob.OwnFacts("a", "host", "0" * 64, schema=3)}, "3 without weights"),
        ({"own": blob.OwnFacts("a", "host", "0" * 64, schema=2)}, "2 without weights"),
    ],
)
def test_what_we_could_not_read_is_not_written(change: dict[str, Any], says: str) -> None:
    with pytest.raises(BlobError, match=says):
        blob.write(b"engine", dataclasses.replace(blob.Metadata(()), **change))


def test_what_an_export_did_for_streaming() -> None:
    own = blob.read((HERE / "golden" / "streaming.bin").read_bytes()).metadata.own
    assert own is not None
    assert own.streaming == make_golden.STREAMING


@pytest.mark.parametrize(
    "streaming", [None, 1, {}, {"part": "tail"}, {"part": "body", "scratch_bytes": -1}, {"part": "head", "head": []}]
)
def test_streaming_facts_that_cannot_be_read_are_none(streaming: Any) -> None:
    """C++ does not look at them: no blob is refused for them."""
    contents = make_golden.raw(make_golden.dump(torchtrt_ws=make_golden.own(streaming=streaming)))
    own = blob.read(contents).metadata.own
    assert own is not None
    assert own.streaming is None


@pytest.mark.parametrize("size", [0, -1, 2**64])
def test_an_engine_size_out_of_range_is_not_written(size: int) -> None:
    with pytest.raises(BlobError, match="bytes"):
        blob.header_and_metadata(blob.Metadata(()), size)


def test_a_digest_in_a_golden_file_is_its_engines() -> None:
    read = blob.read((HERE / "golden" / "full.bin").read_bytes())
    assert read.metadata.own is not None
    assert read.metadata.own.sha256 == hashlib.sha256(read.engine).hexdigest()

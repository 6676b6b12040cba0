"""Writes tests/blob/golden and tests/blob/hostile: blobs with names, read by pytest and by GTest.

Run it after a change of the format, and read the diff: a golden file that changes is a format that changes.

    python tests/blob/make_golden.py

golden/manifest.json:  [{"file", "why", "want": {"aliased", "metadata_offset", "metadata_size", "engine_offset",
                         "engine_size", "engine_sha256", "metadata": {...}}}]
hostile/manifest.json: [{"file", "why", "error": "BlobError", "code": "BadBlob" | "NewerSchema"}], the second for C++
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from crc32c import crc32c

from torchtrt_ws import blob

HERE = Path(__file__).parent
ENGINE = b"vtrt" + bytes(range(60))  # looks like a TensorRT-RTX plan
HOST_ENGINE = b"\x10\0\0\0ET12" + bytes(range(40))  # looks like a nested program


def raw(
    text: bytes,
    engine: bytes = ENGINE,
    *,
    magic: bytes = blob.MAGIC,
    metadata_offset: int = 32,
    metadata_size: int | None = None,
    engine_offset: int | None = None,
    engine_size: int | None = None,
    tail: bytes = b"",
) -> bytes:
    """A blob by hand: any field may lie."""
    aligned = -(-(metadata_offset + len(text)) // 16) * 16
    header = struct.pack(
        "<4sIIIQ8s",
        magic,
        metadata_offset,
        len(text) if metadata_size is None else metadata_size,
        aligned if engine_offset is None else engine_offset,
        len(engine) if engine_size is None else engine_size,
        b"\x01" + bytes(7),
    )
    gap = bytes(max(metadata_offset - len(header), 0))
    body = header + gap + text
    return body + bytes(max(aligned - len(body), 0)) + engine + tail


def facts(name: str, shape: tuple[int, ...], low: tuple[int, ...] = (), high: tuple[int, ...] = ()) -> blob.TensorFacts:
    return blob.TensorFacts(name, "float16", shape, low or shape, high or shape)


def own(**changes: Any) -> dict[str, Any]:
    """The `torchtrt_ws` key of a small valid blob, with changes; a change to `...` removes the key."""
    tensor = {"dtype": "float32", "shape": [-1, 4], "min": [1, 4], "max": [8, 4]}
    value: dict[str, Any] = {
        "schema": 1,
        "name": "forward",
        "kind": "tensorrt",
        "sha256": hashlib.sha256(ENGINE).hexdigest(),
        "builder": "tensorrt_rtx 1.6.1.120",
        "streamable_bytes": 32,
        "streamable_estimated": False,
        "program": {"engines": 1, "streamable_bytes": 32},
        "inputs": [{"name": "x", **tensor}],
        "outputs": [{"name": "y", **tensor}],
    }
    return {key: item for key, item in {**value, **changes}.items() if item is not ...}


def profile(**changes: Any) -> dict[str, Any]:
    """The key `optimization_profiles` with one profile of `own()`, with changes as there."""
    bounds = {"min": [2, 4], "opt": [4, 4], "max": [8, 4], **changes}
    return {"optimization_profiles": [{"x": {key: item for key, item in bounds.items() if item is not ...}}]}


def state(**changes: Any) -> dict[str, Any]:
    """The key `state` with one buffer, with changes as above."""
    buffer = {"input": "cache", "output": "cache_after", "dtype": "float16", "shape": [1, 4], **changes}
    return {"state": [{key: item for key, item in buffer.items() if item is not ...}]}


def document(**changes: Any) -> dict[str, Any]:
    """The JSON of a small valid blob, with changes; a change to `...` removes the key."""
    value: dict[str, Any] = {
        "io_bindings": [
            {"name": "x", "dtype": "float32", "shape": [-1, 4], "is_input": True},
            {"name": "y", "dtype": "float32", "shape": [-1, 4], "is_input": False},
        ],
        "aliased_io": [],
        "hardware_compatible": False,
        "device_id": 0,
        "serialized_metadata": "",
        "target_platform": "",
        "torchtrt_ws": own(),
    }
    return {key: item for key, item in {**value, **changes}.items() if item is not ...}


def weight(**changes: Any) -> dict[str, Any]:
    """One entry of the key `weights`: four float32, with changes as above."""
    data = bytes(range(16))
    value = {
        "name": "layer.weight",
        "key": blob.KEY_PREFIX + hashlib.sha256(data).hexdigest(),
        "dtype": "float32",
        "count": 4,
        "bytes": len(data),
        "crc32c": crc32c(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        **changes,
    }
    return {key: item for key, item in value.items() if item is not ...}


def weights(*tensors: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The keys `schema` and `weights` of an engine without its weights, with changes to the latter."""
    value = {"file": "model.ptd", "tensors": list(tensors or (weight(),)), **changes}
    return {"schema": 2, "weights": {key: item for key, item in value.items() if item is not ...}}


def variant(**changes: Any) -> dict[str, Any]:
    """One entry of the key `variants`: the first plan of `ENGINE`, with changes as above."""
    value = {
        "offset": 0,
        "size": 32,
        "sha256": hashlib.sha256(ENGINE[:32]).hexdigest(),
        "crc32c": f"{crc32c(ENGINE[:32]):08x}",
        "builder": "tensorrt-rtx 1.6.1.120",
        "runtime": "tensorrt_rtx 1.6.1",
        "compute_capabilities": [{"name": "8.9"}],
        "hardware_compatible": False,
        "streamable_bytes": 16,
        "streamable_estimated": True,
        **changes,
    }
    return {key: item for key, item in value.items() if item is not ...}


def variants(*plans: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The keys of an engine with two plans, or `plans`, with changes to all of our facts."""
    listed = list(plans or (variant(), variant(offset=32, compute_capabilities=...)))
    return {**weights(), "schema": 3, "variants": listed, **changes}


def of_second(**changes: Any) -> dict[str, Any]:
    """The same, with changes to the second plan."""
    return variants(variant(), variant(**{"offset": 32, **changes}))


def dump(**changes: Any) -> bytes:
    return json.dumps(document(**changes), separators=(",", ":")).encode()


def golden() -> dict[str, tuple[bytes, str]]:
    """Name to blob and reason. The `torch_tensorrt_*` files are byte for byte what its serialize_engine writes."""
    minimal = blob.Metadata(
        io_bindings=(blob.Binding("x", "float16", (2, 3), True), blob.Binding("y", "float16", (2, 3), False)),
        own=blob.OwnFacts(
            name="forward",
            kind="host",
            sha256=hashlib.sha256(HOST_ENGINE).hexdigest(),
            inputs=(facts("x", (2, 3)),),
            outputs=(facts("y", (2, 3)),),
        ),
    )
    cache = blob.Binding("cache", "float16", (1, 8), True)
    full = blob.Metadata(
        io_bindings=(
            blob.Binding("tokens", "float16", (-1, 32), True),
            cache,
            blob.Binding("out \u00e9\U0001f600", "float16", (-1, 4), False),
            dataclasses.replace(cache, name="cache_out", is_input=False),
        ),
        aliased_io=(blob.Alias("cache_out", "cache", "kv_cache_update"),),
        hardware_compatible=True,
        device_id=3,
        serialized_metadata="gASVBQAAAAAAAACMAXiULg==",
        target_platform="linux_x86_64",
        own=blob.OwnFacts(
            name="tower-a.encoder_1",
            kind="tensorrt",
            sha256=hashlib.sha256(ENGINE).hexdigest(),
            crc32c=f"{crc32c(ENGINE):08x}",
            builder="tensorrt_rtx 1.6.1.120",
            streamable_bytes=2**63 - 1,
            streamable_estimated=True,
            program_engines=2,
            program_streamable_bytes=2**63 - 1,
            inputs=(facts("tokens", (-1, 32), (1, 32), (8, 32)), facts("cache", (1, 8))),
            outputs=(facts("out \u00e9\U0001f600", (-1, 4), (1, 4), (8, 4)), facts("cache_out", (1, 8))),
        ),
    )
    full_own = full.own
    assert full_own is not None
    rows = ((1, 1, 2), (4, 8, 8))
    with_profiles = dataclasses.replace(
        full,
        own=dataclasses.replace(
            full_own,
            optimization_profiles=tuple(
                (
                    blob.ProfileBounds("tokens", *((row, 32) for row in each)),
                    blob.ProfileBounds("cache", (1, 8), (1, 8), (1, 8)),
                )
                for each in rows
            ),
        ),
    )
    assert minimal.own is not None
    shared = dataclasses.replace(
        minimal,
        own=dataclasses.replace(
            minimal.own,
            sha256=hashlib.sha256(ENGINE).hexdigest(),
            streamable_bytes=48,
            program_engines=2,
            program_streamable_bytes=96,
            program_distinct_bytes=48,
            nested_method="prefill",
            keeps_state=True,
            method_inputs=("tokens", "Länge"),
            method_outputs=("logits",),
        ),
    )
    with_state = dataclasses.replace(
        full,
        own=dataclasses.replace(
            full_own,
            keeps_state=True,
            state=(
                blob.StateTensor("keys", "keys_after", "float16", (1, 2, 16, 8)),
                blob.StateTensor("steps", "steps_after", "int64", ()),
            ),
        ),
    )
    stripped = dataclasses.replace(
        minimal,
        own=dataclasses.replace(
            minimal.own,
            schema=blob.STRIPPED_SCHEMA_VERSION,
            weights=blob.SeparateWeights("model.ptd", (blob.SeparateWeight(**weight()),)),
        ),
    )
    tensor = blob.SeparateWeight(**weight(name="a", crc32c=0, shape=(2, 1, 2)))
    scalar = blob.SeparateWeight(**weight(name="b", crc32c=0, shape=()))
    most = blob.SeparateWeight("L\u00e4nge", "of another exporter", "bfloat16", 2**62, 2**63 - 1, 2**32 - 1, "f" * 64)
    stripped_full = dataclasses.replace(
        full,
        own=dataclasses.replace(
            full_own,
            schema=blob.STRIPPED_SCHEMA_VERSION,
            weights=blob.SeparateWeights(
                "\u00e9" * 127 + ".",
                (tensor, scalar, most),
            ),
        ),
    )
    plans = (
        blob.Variant(
            0,
            20,
            hashlib.sha256(ENGINE[:20]).hexdigest(),
            f"{crc32c(ENGINE[:20]):08x}",
            "tensorrt-rtx 1.6.1.120",
            "tensorrt_rtx 1.6.1",
            ("8.9", "12.0"),
            streamable_bytes=2**63 - 1,
            streamable_estimated=True,
            weights=("b", "a"),
        ),
        blob.Variant(32, 32, "0" * 64, "00000000", hardware_compatible=True),
    )
    assert stripped_full.own is not None and stripped.own is not None
    with_variants = dataclasses.replace(
        stripped_full,
        own=dataclasses.replace(stripped_full.own, schema=blob.VARIANTS_SCHEMA_VERSION, variants=plans),
    )
    with_capabilities = dataclasses.replace(
        stripped, own=dataclasses.replace(stripped.own, compute_capabilities=("7.5", "120.10"))
    )
    with_streaming = dataclasses.replace(minimal, own=dataclasses.replace(minimal.own, streaming=STREAMING))
    names = [("input_0", True), ("output_0", False)]
    theirs = {
        "io_bindings": [{"name": n, "dtype": "", "shape": [], "is_input": i} for n, i in names],
        "aliased_io": [],
        "hardware_compatible": False,
        "device_id": 0,
        "serialized_metadata": "",
        "target_platform": "linux_x86_64",
    }
    aliased = {**theirs, "aliased_io": [{"output": "output_0", "input": "input_0", "kind": "user"}]}
    compact: dict[str, Any] = {"separators": (",", ":")}
    return {
        "minimal.bin": (
            blob.write(HOST_ENGINE, minimal),
            "the least that torchtrt-ws writes, streamable bytes unknown",
        ),
        "full.bin": (blob.write(ENGINE, full), "every key, TR02, dynamic shapes, non-ASCII names, the largest sizes"),
        "optimization_profiles.bin": (
            blob.write(ENGINE, with_profiles),
            "full.bin with two optimization profiles",
        ),
        "shared_plan.bin": (
            blob.header_and_metadata(shared, len(ENGINE), gap=176) + b"\xff" * 176 + ENGINE,
            "metadata of another engine of the program before the plan that both are; counted once, a nested method",
        ),
        "state.bin": (blob.write(ENGINE, with_state), "full.bin with buffers that the engine keeps"),
        "streaming.bin": (
            blob.write(HOST_ENGINE, with_streaming),
            "what an export did for streaming, which readers that do not know it ignore",
        ),
        "stripped.bin": (blob.write(HOST_ENGINE, stripped), "TR03 and schema 2: an engine without its one weight"),
        "stripped_full.bin": (
            blob.write(ENGINE, stripped_full),
            "full.bin without its weights: aliases, two names for one weight, the largest sizes",
        ),
        "variants.bin": (
            blob.write(ENGINE, with_variants),
            "schema 3: stripped_full.bin with two plans, one for two GPUs and on two of the weights",
        ),
        "compute_capabilities.bin": (blob.write(HOST_ENGINE, with_capabilities), "stripped.bin, bound to two GPUs"),
        "torch_tensorrt.bin": (
            raw(json.dumps(theirs, **compact).encode()),
            "as Torch-TensorRT 2.14 writes it: names only, and no key of ours",
        ),
        "torch_tensorrt_aliased.bin": (
            raw(json.dumps(aliased, **compact).encode(), magic=blob.MAGIC_ALIASED),
            "as Torch-TensorRT 2.14 writes it, with an alias",
        ),
        "bindings_only.bin": (
            raw(b'{"io_bindings":[{"name":"x"},{"name":"y","is_input":false}]}'),
            "all other keys at their defaults",
        ),
        "unknown_keys.bin": (
            raw(dump(later={"a": [1, None, 1.5]}, torchtrt_ws=own(later=[1e3, 10**30]))),
            "keys of a later writer of schema 1 are ignored",
        ),
        "no_builder.bin": (
            raw(dump(torchtrt_ws=own(builder=..., streamable_bytes=..., streamable_estimated=...))),
            "the optional keys of schema 1 are absent",
        ),
        "loose_layout.bin": (
            raw(json.dumps(document(), indent=1).encode(), metadata_offset=36, tail=b"\xff" * 5),
            "metadata not at 32, JSON with spaces, bytes behind the engine",
        ),
        "aliased_magic_without_alias.bin": (
            raw(dump(), magic=blob.MAGIC_ALIASED),
            "TR02 says that aliases are possible, not that there are some",
        ),
    }


def hostile_headers() -> dict[str, tuple[bytes, str]]:
    text, whole, short = dump(), raw(dump()), dump(torchtrt_ws=...)
    end = len(whole)
    return {
        "empty": (b"", "no bytes"),
        "one_byte": (b"T", "shorter than the magic"),
        "header_only_31": (whole[:31], "one byte short of a header"),
        "header_only": (whole[:32], "a header and nothing behind it"),
        "truncated_metadata": (whole[:100], "ends within the metadata"),
        "truncated_engine": (whole[:-1], "one byte of the engine is missing"),
        "zeros": (bytes(64), "all zero"),
        "garbage": (hashlib.sha512(b"garbage").digest() * 2, "random bytes"),
        "magic_tr04": (raw(text, magic=b"TR04"), "a magic of the future"),
        "magic_stripped_without_weights": (raw(text, magic=b"TR03"), "TR03, and no weights elsewhere"),
        "magic_full_with_weights": (raw(dump(torchtrt_ws=own(**weights()))), "TR01, and weights elsewhere"),
        "magic_aliased_with_weights": (
            raw(dump(torchtrt_ws=own(**weights())), magic=b"TR02"),
            "TR02, and weights elsewhere",
        ),
        "magic_stripped_of_theirs": (raw(short, magic=b"TR03"), "TR03 without our key"),
        "magic_full_with_variants": (raw(dump(torchtrt_ws=own(**variants()))), "TR01, and several plans"),
        "variants_past_engine": (
            raw(dump(torchtrt_ws=own(**of_second(size=33))), magic=b"TR03"),
            "the second plan is one byte longer than the engine",
        ),
        "variants_behind_engine": (
            raw(dump(torchtrt_ws=own(**of_second(offset=80, size=1))), magic=b"TR03"),
            "the second plan lies behind the engine",
        ),
        "variants_sum_wraps": (
            raw(dump(torchtrt_ws=own(**of_second(offset=2**63 - 16, size=2**63 - 1))), magic=b"TR03"),
            "the end of the second plan is past 2^64",
        ),
        "magic_lower_case": (raw(text, magic=b"tr01"), "the magic in lower case"),
        "bare_plan": (ENGINE, "a plan without a blob around it"),
        "metadata_in_header": (raw(text, metadata_offset=16, engine_offset=end - 64), "metadata overlaps the header"),
        "metadata_offset_max": (
            raw(text)[:4] + b"\xff" * 4 + raw(text)[8:],
            "metadata offset 2^32-1: a 32-bit sum wraps",
        ),
        "metadata_size_max": (raw(text, metadata_size=2**32 - 1), "metadata size 2^32-1: a 32-bit sum wraps"),
        "metadata_over_cap": (raw(text, metadata_size=2**20 + 1), "metadata of 1 MiB and a byte"),
        "metadata_over_stripped_cap": (
            raw(text, metadata_size=2**22 + 1, magic=b"TR03"),
            "TR03 and metadata of 4 MiB and a byte",
        ),
        "metadata_past_engine": (raw(text, metadata_size=len(text) + 40), "metadata reaches into the engine"),
        "engine_offset_misaligned": (raw(text, engine_offset=end - 63), "engine offset is no multiple of 16"),
        "engine_offset_zero": (raw(text, engine_offset=0), "the engine starts in the header"),
        "engine_offset_past_end": (raw(text, engine_offset=(end // 16 + 4) * 16), "the engine starts behind the end"),
        "engine_size_past_end": (raw(text, engine_size=65), "the engine is one byte longer than the blob"),
        "engine_size_wraps": (
            raw(short, engine_offset=512, engine_size=2**64 - 512, tail=bytes(512)),
            "engine size 2^64-512 at 512: the sum is 0 (Torch-TensorRT's parser accepts it)",
        ),
        "engine_size_max": (raw(text, engine_size=2**64 - 1), "engine size 2^64-1"),
        "engine_empty": (raw(text, b""), "an engine of 0 bytes"),
        "big_endian": (
            struct.pack(">4sIIIQ8s", b"TR01", 32, len(text), end - 64, 64, b"") + whole[32:],
            "a big-endian header",
        ),
    }


def hostile_json() -> dict[str, tuple[bytes, str]]:
    deep = b'{"io_bindings":[],"x":' + b"[" * 20000 + b"]" * 20000 + b"}"
    levels33 = b'{"io_bindings":[],"x":' + b"[" * 32 + b"]" * 32 + b"}"
    x, y = document()["io_bindings"]
    alias = {"output": "y", "input": "x", "kind": "user"}
    texts: dict[str, tuple[bytes, str]] = {
        "json_empty": (b"", "no metadata at all"),
        "json_truncated": (dump()[:-1], "JSON without its last brace"),
        "json_trailing": (dump() + b"x", "a byte behind the JSON"),
        "json_trailing_nul": (dump() + b"\0", "a NUL behind the JSON"),
        "json_byte_order_mark": (b"\xef\xbb\xbf" + dump(), "a byte order mark"),
        "json_utf16": (dump().decode().encode("utf-16-le"), "UTF-16"),
        "json_not_utf8": (dump(target_platform="@").replace(b"@", b"\xff\xfe"), "bytes that are not UTF-8"),
        "json_lone_surrogate": (dump(target_platform="@").replace(b"@", b"\\ud800"), "a lone surrogate"),
        "json_nan": (dump(later=float("nan")), "NaN is not JSON"),
        "json_infinity": (dump(later=float("inf")), "Infinity is not JSON"),
        "json_huge_float": (dump(later=0).replace(b'"later":0', b'"later":1e999'), "a number past a double"),
        "json_comment": (b"/* */" + dump(), "a comment"),
        "json_list": (b"[" + dump() + b"]", "a list, not an object"),
        "json_null": (b"null", "null, not an object"),
        "json_33_levels": (levels33, "nested one level too deep"),
        "json_deep": (deep, "nested 20000 deep: recursion ends here"),
        "json_key_twice": (b'{"device_id":0,' + dump()[1:], "a key twice: readers differ in which one counts"),
        "bindings_missing": (dump(io_bindings=...), "no io_bindings"),
        "bindings_null": (dump(io_bindings=None), "io_bindings is null"),
        "bindings_object": (dump(io_bindings={"x": x}), "io_bindings is an object"),
        "binding_number": (dump(io_bindings=[x, 7]), "a binding that is a number"),
        "binding_no_name": (dump(io_bindings=[x, {"is_input": False}]), "a binding without name"),
        "binding_empty_name": (dump(io_bindings=[{**x, "name": ""}, y]), "a binding with an empty name"),
        "binding_nul_name": (dump(io_bindings=[{**x, "name": "x\0y"}, y]), "a NUL in a name"),
        "binding_name_number": (dump(io_bindings=[{**x, "name": 1}, y]), "a name that is a number"),
        "binding_twice": (dump(io_bindings=[x, x, y], torchtrt_ws=...), "two inputs of one name"),
        "binding_is_input_number": (dump(io_bindings=[{**x, "is_input": 1}, y]), "is_input is 1"),
        "binding_shape_float": (dump(io_bindings=[{**x, "shape": [1.0]}, y]), "a dimension that is a float"),
        "binding_shape_negative": (dump(io_bindings=[{**x, "shape": [-2]}, y]), "dimension -2"),
        "binding_shape_huge": (dump(io_bindings=[{**x, "shape": [2**63]}, y]), "dimension 2^63"),
        "binding_shape_null": (dump(io_bindings=[{**x, "shape": None}, y]), "shape is null"),
        "binding_rank_9": (dump(io_bindings=[{**x, "shape": [1] * 9}, y]), "rank 9: TensorRT has at most 8"),
        "device_id_overflow": (
            dump(device_id=2**31),
            "device_id 2^31 (Torch-TensorRT's parser overflows here)",
        ),
        "device_id_huge": (dump(device_id=10**40), "device_id 10^40 (Torch-TensorRT's parser overflows here)"),
        "device_id_wraps": (dump(device_id=2**64), "device_id 2^64: wraps to 0"),
        "device_id_negative": (dump(device_id=-1), "device_id -1"),
        "device_id_float": (dump(device_id=0.5), "device_id 0.5"),
        "device_id_string": (dump(device_id="0"), "device_id is a string"),
        "device_id_bool": (dump(device_id=True), "device_id is true"),
        "device_id_null": (dump(device_id=None), "device_id is null"),
        "hardware_compatible_number": (dump(hardware_compatible=0), "hardware_compatible is 0"),
        "target_platform_number": (dump(target_platform=0), "target_platform is a number"),
        "alias_unknown_output": (
            dump(aliased_io=[{**alias, "output": "z"}]),
            "an alias of an output that is not there",
        ),
        "alias_unknown_input": (dump(aliased_io=[{**alias, "input": "y"}]), "an alias to an output"),
        "alias_twice": (dump(aliased_io=[alias, alias]), "two aliases of one output"),
        "alias_unknown_kind": (dump(aliased_io=[{**alias, "kind": "later"}]), "an alias of an unknown kind"),
        "alias_object": (dump(aliased_io={"y": ["x", "user"]}), "aliased_io is an object"),
    }
    blobs = {name: (raw(text, magic=magic_for(name)), why) for name, (text, why) in texts.items()}
    blobs["alias_under_tr01"] = (raw(dump(aliased_io=[alias])), "an alias under TR01: a reader may miss it")
    return blobs


def hostile_own() -> dict[str, tuple[bytes, str]]:
    tensor = document()["torchtrt_ws"]["inputs"][0]
    changes: dict[str, tuple[dict[str, Any], str]] = {
        "own_schema_4": ({"schema": 4, "name": 7}, "a newer schema, whose other keys may mean anything"),
        "own_schema_2e62": ({"schema": 2**62}, "a schema far ahead"),
        "own_schema_0": ({"schema": 0}, "schema 0"),
        "own_schema_missing": ({"schema": ...}, "no schema"),
        "own_schema_string": ({"schema": "1"}, "a schema that is a string"),
        "own_name_missing": ({"name": ...}, "no engine name"),
        "own_name_empty": ({"name": ""}, "an empty engine name"),
        "own_name_40": ({"name": "a" * 40}, "an engine name of 40 characters: its option key would not fit"),
        "own_name_slash": ({"name": "../a"}, "an engine name that is a path"),
        "own_name_newline": ({"name": "a\n"}, "an engine name with a newline"),
        "own_kind_missing": ({"kind": ...}, "no engine kind"),
        "own_kind_empty": ({"kind": ""}, "an empty engine kind"),
        "own_sha256_missing": ({"sha256": ...}, "no digest"),
        "own_sha256_short": ({"sha256": "ab"}, "a digest of 2 digits"),
        "own_sha256_path": ({"sha256": "../" + "a" * 61}, "a digest that is a path"),
        "own_sha256_upper": ({"sha256": "A" * 64}, "a digest in upper case"),
        "own_crc32c_null": ({"crc32c": None}, "no checksum, said in another way"),
        "own_crc32c_short": ({"crc32c": "abcd"}, "a checksum of 4 digits"),
        "own_crc32c_number": ({"crc32c": 12345678}, "a checksum that is a number"),
        "own_streamable_negative": ({"streamable_bytes": -1}, "negative streamable bytes"),
        "own_streamable_huge": ({"streamable_bytes": 2**63}, "2^63 streamable bytes"),
        "own_streamable_float": ({"streamable_bytes": 1.5}, "1.5 streamable bytes"),
        "own_estimated_null": ({"streamable_estimated": None}, "streamable_estimated is null"),
        "own_program_missing": ({"program": ...}, "no program facts"),
        "own_program_no_engines": ({"program": {"engines": 0}}, "a program of 0 engines"),
        "own_program_list": ({"program": []}, "program is a list"),
        "own_program_distinct_float": (
            {"program": {"engines": 1, "distinct_streamable_bytes": 1.5}},
            "a count that is no integer",
        ),
        "own_nested_method_empty": ({"nested_method": ""}, "a method without a name"),
        "own_keeps_state_number": ({"keeps_state": 1}, "a number where a bool belongs"),
        "own_state_object": ({"state": {}}, "state is an object"),
        "own_state_number": ({"state": [1]}, "a buffer that is a number"),
        "own_state_no_output": (state(output=...), "a buffer without an output"),
        "own_state_empty_name": (state(input=""), "a buffer without a name"),
        "own_state_no_dtype": (state(dtype=""), "a buffer without dtype"),
        "own_state_name_of_input": (state(input="x"), "a buffer that is an input of the call as well"),
        "own_state_name_of_output": (state(output="y"), "a buffer that is an output of the call as well"),
        "own_state_one_name": (state(output="cache"), "a buffer whose input and output have one name"),
        "own_state_twice": ({"state": state()["state"] * 2}, "a buffer twice"),
        "own_state_dynamic": (state(shape=[-1, 4]), "a buffer of a size that varies"),
        "own_state_huge": (state(shape=[2**63]), "a buffer of 2^63 elements"),
        "own_nested_method_slash": ({"nested_method": "a/b"}, "a method name with a slash"),
        "own_method_list": ({"method": []}, "method is a list"),
        "own_method_no_outputs": ({"method": {"inputs": []}}, "a method without outputs"),
        "own_method_name_empty": ({"method": {"inputs": [{"name": ""}], "outputs": []}}, "an input without a name"),
        "own_method_name_text": ({"method": {"inputs": ["x"], "outputs": []}}, "an input that is a text"),
        "own_inputs_missing": ({"inputs": ...}, "no inputs"),
        "own_inputs_other_name": ({"inputs": [{**tensor, "name": "z"}]}, "an input that io_bindings does not have"),
        "own_inputs_fewer": ({"inputs": []}, "fewer inputs than io_bindings has"),
        "own_input_no_dtype": ({"inputs": [{**tensor, "dtype": ""}]}, "an input without dtype"),
        "own_input_min_above_max": ({"inputs": [{**tensor, "min": [9, 4]}]}, "min above max"),
        "own_input_static_bounds": ({"inputs": [{**tensor, "max": [8, 5]}]}, "bounds that differ where it is static"),
        "own_profiles_object": ({"optimization_profiles": {}}, "optimization_profiles is an object"),
        "own_profiles_null": ({"optimization_profiles": None}, "optimization_profiles is null"),
        "own_profile_number": ({"optimization_profiles": [1]}, "a profile that is a number"),
        "own_profile_no_input": ({"optimization_profiles": [{}]}, "a profile without an input of the engine"),
        "own_profile_no_opt": (profile(opt=...), "a profile without opt"),
        "own_profile_rank": (profile(min=[1]), "a profile of another rank"),
        "own_profile_opt_below_min": (profile(opt=[1, 4]), "opt below min"),
        "own_profile_max_below_opt": (profile(max=[3, 4]), "max below opt"),
        "own_profile_below_input": (profile(min=[0, 4]), "a profile that reaches below the input's bounds"),
        "own_profile_past_input": (profile(max=[9, 4]), "a profile that reaches past the input's bounds"),
        "own_profile_huge": (profile(max=[2**63, 4]), "a profile up to 2^63"),
        "own_profile_float": (profile(min=[2.0, 4]), "a profile whose bounds are floats"),
        "own_input_rank": ({"inputs": [{**tensor, "min": [1]}]}, "min of another rank"),
    }
    blobs = {name: (raw(dump(torchtrt_ws=own(**change))), why) for name, (change, why) in changes.items()}
    blobs |= {
        name: (raw(dump(torchtrt_ws=own(**change)), magic=blob.MAGIC_STRIPPED), why)
        for name, (change, why) in hostile_weights().items()
    }
    blobs["own_null"] = (raw(dump(torchtrt_ws=None)), "our key is null")
    blobs["own_list"] = (raw(dump(torchtrt_ws=[])), "our key is a list")
    return blobs


def hostile_weights() -> dict[str, tuple[dict[str, Any], str]]:
    """Changes of the own facts of a blob with magic TR03."""
    long = "\u00e9" * 127 + ".."
    return {
        "weights_schema_1": ({**weights(), "schema": 1}, "weights elsewhere in schema 1"),
        "weights_schema_2_only": ({"schema": 2}, "schema 2 without weights"),
        "weights_null": ({"schema": 2, "weights": None}, "weights is null"),
        "weights_list": ({"schema": 2, "weights": []}, "weights is a list"),
        "weights_no_file": (weights(file=...), "no name of a file"),
        "weights_file_empty": (weights(file=""), "an empty name of a file"),
        "weights_file_path": (weights(file="../model.ptd"), "a file in another folder"),
        "weights_file_backslash": (weights(file="..\\model.ptd"), "a file in another folder of Windows"),
        "weights_file_dot": (weights(file="."), "a folder"),
        "weights_file_dots": (weights(file=".."), "the folder above"),
        "weights_file_256": (weights(file=long), "a name of 256 bytes"),
        "weights_file_number": (weights(file=1), "a file that is a number"),
        "weights_no_tensors": (weights(tensors=...), "no list of weights"),
        "weights_tensors_empty": (weights(tensors=[]), "an empty list of weights"),
        "weights_tensors_object": (weights(tensors={}), "weights in an object"),
        "weights_tensor_number": (weights(tensors=[1]), "a weight that is a number"),
        "weights_name_empty": (weights(weight(name="")), "a weight without a name"),
        "weights_name_nul": (weights(weight(name="a\0b")), "a name with NUL"),
        "weights_name_twice": (weights(weight(), weight()), "a weight twice"),
        "weights_key_missing": (weights(weight(key=...)), "a weight without a key"),
        "weights_key_empty": (weights(weight(key="")), "a weight with an empty key"),
        "weights_dtype_number": (weights(weight(dtype=6)), "a dtype that is a number"),
        "weights_count_zero": (weights(weight(count=0)), "a weight without elements"),
        "weights_count_huge": (weights(weight(count=2**63)), "2^63 elements"),
        "weights_bytes_zero": (weights(weight(bytes=0)), "a weight of 0 bytes"),
        "weights_bytes_float": (weights(weight(bytes=16.0)), "bytes that are a float"),
        "weights_crc32c_text": (weights(weight(crc32c="00000000")), "a checksum that is a text"),
        "weights_crc32c_huge": (weights(weight(crc32c=2**32)), "a checksum of 33 bits"),
        "weights_sha256_short": (weights(weight(sha256="ab")), "a digest of 2 digits"),
        "weights_shape_null": (weights(weight(shape=None)), "a shape that is null"),
        "weights_shape_dynamic": (weights(weight(shape=[-1])), "a shape that varies"),
        "weights_shape_rank": (weights(weight(shape=[1] * 9)), "a shape of 9 dimensions"),
        "weights_sha256_missing": (weights(weight(sha256=...)), "no digest"),
        "variants_schema_2": (variants(schema=2), "several plans in schema 2: its readers take them for one"),
        "variants_schema_3_only": ({**weights(), "schema": 3}, "schema 3 without plans"),
        "variants_without_weights": (variants(weights=...), "several whole engines"),
        "variants_null": (variants(variants=None), "plans are null"),
        "variants_object": (variants(variants={}), "plans in an object"),
        "variants_empty": (variants(variants=[]), "no plans"),
        "variants_one": (variants(variant()), "one plan in a list"),
        "variants_65": (variants(*(variant(offset=32 * i) for i in range(65))), "65 plans"),
        "variants_number": (variants(variants=[1, 2]), "plans that are numbers"),
        "variants_first_offset": (variants(variant(offset=16), variant(offset=48)), "a first plan not at the start"),
        "variants_overlap": (of_second(offset=16), "plans that overlap"),
        "variants_equal_offsets": (of_second(offset=0), "two plans at one place"),
        "variants_misaligned": (of_second(offset=40), "a plan that is not aligned"),
        "variants_out_of_order": (
            variants(variant(), variant(offset=64), variant(offset=32)),
            "plans out of order",
        ),
        "variants_overlap_wraps": (
            variants(variant(size=2**63 - 1), variant(offset=32)),
            "a plan of 2^63-1 bytes before another one",
        ),
        "variants_offset_negative": (of_second(offset=-16), "a negative offset"),
        "variants_offset_huge": (of_second(offset=2**64), "an offset of 2^64"),
        "variants_offset_float": (of_second(offset=32.0), "an offset that is a float"),
        "variants_offset_missing": (of_second(offset=...), "no offset"),
        "variants_size_zero": (of_second(size=0), "a plan of 0 bytes"),
        "variants_size_missing": (of_second(size=...), "no size"),
        "variants_sha256_short": (of_second(sha256="ab"), "a digest of 2 digits"),
        "variants_sha256_missing": (of_second(sha256=...), "no digest"),
        "variants_crc32c_upper": (of_second(crc32c="ABCDEF01"), "a checksum in upper case"),
        "variants_crc32c_missing": (of_second(crc32c=...), "no checksum"),
        "variants_runtime_null": (of_second(runtime=None), "a runtime that is null"),
        "variants_builder_nul": (of_second(builder="a\0b"), "a builder with NUL"),
        "variants_compatible_number": (of_second(hardware_compatible=1), "hardware_compatible is 1"),
        "variants_streamable_negative": (of_second(streamable_bytes=-1), "negative streamable bytes"),
        "variants_capabilities_text": (of_second(compute_capabilities="8.9"), "capabilities in a text"),
        "variants_capabilities_texts": (of_second(compute_capabilities=["8.9"]), "capabilities that are texts"),
        "variants_capability_number": (of_second(compute_capabilities=[{"name": 8.9}]), "a capability as a number"),
        "variants_capability_words": (of_second(compute_capabilities=[{"name": "sm_89"}]), "a capability in words"),
        "variants_capability_long": (of_second(compute_capabilities=[{"name": "8.9999"}]), "a capability too long"),
        "variants_capability_newline": (of_second(compute_capabilities=[{"name": "8.9\n"}]), "one with a newline"),
        "variants_capability_twice": (of_second(compute_capabilities=[{"name": "8.9"}] * 2), "a capability twice"),
        "variants_weights_empty": (of_second(weights=[]), "a plan that takes no weights"),
        "variants_weights_null": (of_second(weights=None), "a plan's weights are null"),
        "variants_weights_unknown": (of_second(weights=[{"name": "other"}]), "a weight that is in no list"),
        "variants_weights_twice": (of_second(weights=[{"name": "layer.weight"}] * 2), "a plan's weight twice"),
        "own_capabilities_object": ({"compute_capabilities": {}}, "compute_capabilities in an object"),
        "own_capability_empty": ({"compute_capabilities": [{"name": ""}]}, "a compute capability without a name"),
    }


def magic_for(name: str) -> bytes:
    return blob.MAGIC_ALIASED if name.startswith("alias_") else blob.MAGIC


def hostile() -> dict[str, tuple[bytes, str]]:
    return {f"{n}.bin": entry for n, entry in (hostile_headers() | hostile_json() | hostile_own()).items()}


STREAMING = blob.StreamingFacts(
    part="body",
    largest=(blob.WeightSize("gate.weight + up.weight", 96), blob.WeightSize("down.weight", 48)),
    scratch_bytes=144,
    plain_scratch_bytes=2048,
    tables=(blob.WeightSize("table.weight", 1024),),
    head=blob.WeightSize("head.weight", 1024),
    notes=("table 'other.weight' stays",),
)


def describe(contents: bytes) -> dict[str, Any]:
    """What a reader must find in a golden blob."""
    read = blob.read(contents)
    metadata = json.loads(json.dumps(dataclasses.asdict(read.metadata)))
    assert metadata.pop("engine_key") == "", "each has its engine"
    if metadata["own"] is not None:
        del metadata["own"]["streaming"]  # a report of Python's: C++ takes it for an unknown key
    return {
        **dataclasses.asdict(read.header),
        "engine_sha256": hashlib.sha256(read.engine).hexdigest(),
        "metadata": metadata,
    }


def manifest(rows: list[dict[str, Any]]) -> str:
    return "[\n" + ",\n".join("  " + json.dumps(row) for row in rows) + "\n]\n"


def main() -> None:
    for folder, blobs in (("golden", golden()), ("hostile", hostile())):
        target = HERE / folder
        target.mkdir(exist_ok=True)
        for stale in target.glob("*.bin"):
            stale.unlink()
        rows = []
        for name, (contents, why) in blobs.items():
            (target / name).write_bytes(contents)
            if folder == "golden":
                rows.append({"file": name, "why": why, "want": describe(contents)})
            else:
                code = "NewerSchema" if name in ("own_schema_4.bin", "own_schema_2e62.bin") else "BadBlob"
                rows.append({"file": name, "why": why, "error": "BlobError", "code": code})
        (target / "manifest.json").write_text(manifest(rows))


if __name__ == "__main__":
    main()

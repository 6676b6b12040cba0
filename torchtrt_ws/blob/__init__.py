"""The engine blob: a 32-byte header, compact JSON, padding, the engine. Torch-TensorRT 2.14's format, and our key.

README "Wire format" is the text; the constants here are its table in code. Pure: bytes in, values or BlobError out.
"""

from torchtrt_ws.blob.blob import Blob, header_and_metadata, read, write
from torchtrt_ws.blob.fields import MAX_BINDINGS, MAX_DEPTH, MAX_RANK
from torchtrt_ws.blob.header import (
    ENGINE_ALIGNMENT,
    HEADER_SIZE,
    MAGIC,
    MAGIC_ALIASED,
    MAGIC_STRIPPED,
    MAX_METADATA_SIZE,
    MAX_STRIPPED_METADATA_SIZE,
    Buffer,
    Header,
    engine_start,
    fits,
    moved_header,
    read_header,
)
from torchtrt_ws.blob.metadata import (
    SCHEMA_VERSION,
    STRIPPED_SCHEMA_VERSION,
    VARIANTS_SCHEMA_VERSION,
    Alias,
    Binding,
    Metadata,
    OptimizationProfile,
    OwnFacts,
    ProfileBounds,
    StateTensor,
    TensorFacts,
    parse_metadata,
    to_json,
    with_own,
)
from torchtrt_ws.blob.streaming_facts import StreamingFacts, WeightSize
from torchtrt_ws.blob.variants import MAX_VARIANTS, Variant, is_compute_capability
from torchtrt_ws.blob.weights import KEY_PREFIX, SeparateWeight, SeparateWeights

__all__ = [
    "ENGINE_ALIGNMENT",
    "HEADER_SIZE",
    "KEY_PREFIX",
    "MAGIC",
    "MAGIC_ALIASED",
    "MAGIC_STRIPPED",
    "MAX_BINDINGS",
    "MAX_DEPTH",
    "MAX_METADATA_SIZE",
    "MAX_RANK",
    "MAX_STRIPPED_METADATA_SIZE",
    "MAX_VARIANTS",
    "SCHEMA_VERSION",
    "STRIPPED_SCHEMA_VERSION",
    "VARIANTS_SCHEMA_VERSION",
    "Alias",
    "Binding",
    "Blob",
    "Buffer",
    "Header",
    "Metadata",
    "OptimizationProfile",
    "OwnFacts",
    "ProfileBounds",
    "SeparateWeight",
    "SeparateWeights",
    "StateTensor",
    "StreamingFacts",
    "TensorFacts",
    "Variant",
    "WeightSize",
    "engine_start",
    "fits",
    "header_and_metadata",
    "is_compute_capability",
    "moved_header",
    "parse_metadata",
    "read",
    "read_header",
    "to_json",
    "with_own",
    "write",
]

"""The Open Inference Protocol, version 2, as bytes and values: knows no HTTP, no Ray and no programs.

JSON, and the extension for binary tensors that clients such as `tritonclient` use unasked. Whatever comes in is taken
for hostile. Sources: https://github.com/kserve/open-inference-protocol (specification/protocol/inference_rest.md), and
https://github.com/triton-inference-server/server (docs/protocol: extension_binary_data, extension_statistics).
"""

# No library: what has this on its server side, kserve and mlserver, brings Kubernetes or Kafka clients and a server.
from torchtrt_ws.serve.protocol.datatypes import DATATYPES, NAMES
from torchtrt_ws.serve.protocol.generate import GenerateRequest, decode_generate
from torchtrt_ws.serve.protocol.request import InferRequest, Wanted, decode
from torchtrt_ws.serve.protocol.response import encode

__all__ = ["DATATYPES", "NAMES", "GenerateRequest", "InferRequest", "Wanted", "decode", "decode_generate", "encode"]

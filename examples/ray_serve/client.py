"""Asks a server of torchtrt-ws with NVIDIA's client, which knows nothing of it.

    torchtrt-ws serve demo.pte --port 8000 &
    python examples/ray_serve/client.py demo --url localhost:8000    # needs pip install tritonclient[http]

The inputs are random, in the shapes that the server tells; a dimension that varies is 1.
"""

from __future__ import annotations

import argparse

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import triton_to_np_dtype


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--url", default="localhost:8000")
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    with triton.InferenceServerClient(arguments.url) as client:
        inputs = []
        for each in client.get_model_metadata(arguments.model)["inputs"]:
            shape = [1 if size == -1 else size for size in each["shape"]]
            array = (random.random(shape) * 2).astype(triton_to_np_dtype(each["datatype"]))
            inputs.append(triton.InferInput(each["name"], shape, each["datatype"]))
            inputs[-1].set_data_from_numpy(array)
        result = client.infer(arguments.model, inputs)
        for each in result.get_response()["outputs"]:
            print(each["name"], each["datatype"], each["shape"])


if __name__ == "__main__":
    main()

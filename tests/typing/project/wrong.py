"""What the type checkers must refuse: each line that says so, and no other."""

from pathlib import Path

import torchtrt_ws

torchtrt_ws.load(5)  # wrong
torchtrt_ws.load(Path("model.pte"), weight_streaming_budget=0.5)  # wrong
torchtrt_ws.load("model.pte", contexts="2")  # wrong
torchtrt_ws.load("model.pte", budget="50%")  # wrong
program = torchtrt_ws.load("model.pte")
program.set_weight_streaming_budget(["50%"])  # wrong
program.engines[0].budget_bytes = 5  # wrong
program.signature(5)  # wrong
program.nothing()  # wrong
number: int = program.inputs  # wrong
torchtrt_ws.nothing  # wrong  # noqa: B018
torchtrt_ws.weight_streaming("model.pte")  # wrong
torchtrt_ws.set_defaults(verify=True)  # wrong

"""Programs with another graph: what they are made of is the first one's."""

from __future__ import annotations

from typing import Any

from torch.export import ExportedProgram
from torch.export.graph_signature import ExportGraphSignature
from torch.fx import Graph, GraphModule, Node

__all__ = ["copied_graph", "with_graph"]


def copied_graph(program: ExportedProgram) -> tuple[Graph, dict[Node, Node]]:
    """A copy of a program's graph, to be changed, with the names that its signature has.

    Args:
        program: As torch.export gives it.

    Returns:
        The graph, and the copy of each node of the program's but the output.
    """
    graph, copies = Graph(), dict[Node, Node]()
    graph.output(graph.graph_copy(program.graph, copies))
    graph.output_node().meta = dict(program.graph.output_node().meta)
    for node, made in copies.items():
        made.name = node.name  # a copy renames what is called as something of Python is
    return graph, copies


def with_graph(
    program: ExportedProgram, graph: Graph, signature: ExportGraphSignature, state: dict[str, Any] | None = None
) -> ExportedProgram:
    """The program that computes `graph`.

    Args:
        program: Where all else is from; not modified.
        graph: What it computes; checked.
        signature: Of the graph.
        state: Its parameters and buffers; None: those of `program`.
    """
    graph.lint()
    module = GraphModule(program.graph_module, graph)
    module.meta.update(program.graph_module.meta)
    return ExportedProgram(
        root=module,
        graph=graph,
        graph_signature=signature,
        state_dict=program.state_dict if state is None else state,
        range_constraints=program.range_constraints,
        module_call_graph=program.module_call_graph,
        example_inputs=program.example_inputs,
        constants=program.constants,
        verifiers=[program.verifier],
    )

"""From a node of an ONNX model back to the operator of the module that it came from: for errors."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

__all__ = ["lines_of", "node_origin", "origin_of", "text_origins"]

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
_SCOPES, _CLASSES = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy"
_INITIALIZER = re.compile(r"Failed to import initializer: (\S+)\s*$")
_MOST = 3  # origins in one error


def lines_of(program: ExportedProgram) -> dict[str, str]:
    """Where the operators of a method are called.

    Args:
        program: The method.

    Returns:
        Node name to "FILE:LINE", of the innermost call outside of PyTorch; without nodes for which that is not known.
    """
    found = {}
    for node in program.graph.nodes:
        line = _line_of(node)
        if line is not None:
            found[node.name] = line
    return found


def _line_of(node: torch.fx.Node) -> str | None:
    import torch

    inside = os.path.dirname(torch.__file__) + os.sep
    frames = [
        each for each in _FRAME.finditer(node.meta.get("stack_trace") or "") if not each["file"].startswith(inside)
    ]
    return f"{frames[-1]['file']}:{frames[-1]['line']}" if frames else None


def node_origin(program: ExportedProgram, name: str) -> str | None:
    """The operator of a node of a method, with its module and its line.

    Args:
        program: The method.
        name: The node's name.

    Returns:
        A phrase; None where there is no such node.
    """
    node = next((each for each in program.graph.nodes if each.name == name and each.op == "call_function"), None)
    if node is None:
        return None
    modules = [(str(path), _class_name(kind)) for path, kind in (node.meta.get("nn_module_stack") or {}).values()]
    path, kind = modules[-1] if modules else ("", "")
    return _phrase(str(node.target), path, kind, _line_of(node))


def origin_of(model: Path, lines: Mapping[str, str], index: int, text: str) -> str | None:
    """The operator that a parser's error is about.

    Args:
        model: The ONNX model; torch.onnx records origins in its nodes.
        lines: From `lines_of`.
        index: The node's position in the model; -1 where the parser names none.
        text: What the parser says.

    Returns:
        A phrase; None where it cannot be told.
    """
    nodes = _nodes(model)
    if 0 <= index < len(nodes):
        return _origin(nodes[index], lines)
    initializer = _INITIALIZER.search(text)
    if initializer is not None:
        for node in nodes:
            if initializer[1] in node.input:
                return _origin(node, lines)
    return next(text_origins(model, lines, text), None)


def text_origins(model: Path, lines: Mapping[str, str], text: str) -> Iterator[str]:
    """The operators of the nodes that a builder's words name, at most three.

    Args:
        model: The ONNX model.
        lines: From `lines_of`.
        text: What TensorRT-RTX says; it calls layers as the model calls nodes.

    Returns:
        Phrases, each once.
    """
    words = set(re.findall(r"[\w./:-]+", text))
    words |= {word.strip(".:") for word in words}
    found = dict.fromkeys(_origin(node, lines) for node in _nodes(model) if node.name and node.name in words)
    yield from [each for each in found if each is not None][:_MOST]


def _nodes(model: Path) -> list[Any]:
    import onnx

    return list(onnx.load(str(model), load_external_data=False).graph.node)


def _origin(node: Any, lines: Mapping[str, str]) -> str | None:
    properties = {each.key: each.value for each in node.metadata_props}
    try:
        scopes, classes = (list(ast.literal_eval(properties[key])) for key in (_SCOPES, _CLASSES))
    except (KeyError, ValueError, SyntaxError, TypeError):
        return None
    if not scopes or len(classes) != len(scopes):
        return None
    path, kind = (scopes[-2], classes[-2]) if len(scopes) > 1 else ("", "")
    return _phrase(str(classes[-1]), str(path), str(kind), lines.get(str(scopes[-1])))


def _phrase(operator: str, path: str, kind: str, line: str | None) -> str:
    where = f" of module {path!r}" if path else ""
    where += f" ({kind})" if kind else ""
    return f"{operator}{where}" + (f", {line}" if line else "")


def _class_name(kind: object) -> str:
    return kind if isinstance(kind, str) else f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', kind)}"

"""What torch.onnx has onnxscript do to a model, in time that grows with the model and not with its square.

onnxscript 0.7 asks each of its rules about each node, and the one that joins two Slices lists all nodes to answer: that
was a third of the time that a decoder of 32 layers took to become a model.
"""

from __future__ import annotations

from typing import Any

__all__ = ["optimize"]

_ROUNDS = 2  # as many as onnxscript.optimizer.optimize_ir has


def optimize(model: Any) -> None:
    """Does what `onnxscript.optimizer.optimize_ir` does, and with the same result.

    Args:
        model: An `onnx_ir.Model`; changed in place.

    Source:
        onnxscript 0.7.2, optimizer/_optimizer.py. What torch.onnx does behind it is for opset 23, which is not used
        here.
    """
    from onnx_ir.passes import common
    from onnxscript.optimizer import fold_constants_ir, optimize_ir

    try:
        rules = _rules()
    except (ImportError, AttributeError):  # another onnxscript: as it does it
        optimize_ir(model)
        return
    common.InlinePass()(model)
    for _ in range(_ROUNDS):
        results = [
            fold_constants_ir(model, onnx_shape_inference=True),
            rules(model),
            common.RemoveUnusedNodesPass()(model),
            common.RemoveUnusedFunctionsPass()(model),  # type: ignore[no-untyped-call]
            common.RemoveUnusedOpsetsPass()(model),
        ]
        if not any(each.modified for each in results):
            break
    common.RemoveUnusedNodesPass()(model)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    common.LiftSubgraphInitializersToMainGraphPass()(model)
    common.DeduplicateInitializersPass()(model)
    common.CommonSubexpressionEliminationPass()(model)
    common.OutputFixPass()(model)
    common.NameFixPass()(model)


def _rules() -> Any:
    """The pass with onnxscript's own rules."""
    from onnxscript.rewriter import _DEFAULT_REWRITE_RULES, RewritePass, RewriteRuleSet

    return RewritePass(RewriteRuleSet([_Asked(rule) for rule in _DEFAULT_REWRITE_RULES]))


class _Asked:
    """A rule that is asked only about nodes of the operator that its pattern ends with: of others it says no, too."""

    def __init__(self, rule: Any) -> None:
        self._rule = rule
        self._operator = rule._target_pattern.output_nodes[0].op_identifier()  # None: of several operators

    def try_rewrite(self, model: Any, graph: Any, node: Any, **options: Any) -> Any:
        if self._operator not in (None, node.op_identifier()):
            return None
        return self._rule.try_rewrite(model, graph, node, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rule, name)

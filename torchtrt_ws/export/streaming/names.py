"""What the engines of a method are called that streaming has split. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.names import MAX_LENGTH

__all__ = ["check_heads", "head_name"]

_SUFFIX = "_head"


def head_name(method: str) -> str:
    """The name of the engine behind a method's first one.

    Args:
        method: The method's name, which is the first engine's; a long one is cut at its end.
    """
    return method[: MAX_LENGTH - len(_SUFFIX)] + _SUFFIX


def check_heads(methods: Sequence[str], heads: Sequence[str]) -> None:
    """Refuses engines of one name.

    Args:
        methods: The methods' names.
        heads: The names of engines behind others.

    Raises:
        ProgramError: A head that is called as another engine is.
    """
    for index, name in enumerate(heads):
        if name in methods or name in heads[:index]:
            raise ProgramError(
                f"engine {name!r}",
                "a method of that name, or of one that begins as another does",
                "names of their own for methods and for the engines of their heads",
                "Rename the method, or keep heads in their engines: streaming=StreamingOptions(head_engine=False).",
            )

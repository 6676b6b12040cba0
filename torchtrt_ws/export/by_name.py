"""Keywords that hold one value, or a mapping from the name of a method or an engine to one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torchtrt_ws.errors import ProgramError

__all__ = ["by_name"]


def by_name(what: str, names: Iterable[str], several: bool, keyword: str, value: Any) -> Mapping[str, Any]:
    """Reads such a keyword.

    Args:
        what: What the names are of: "method" or "engine".
        names: The names there are.
        several: True if the caller named them, in a mapping: the keyword must be a mapping too.
        keyword: Its name.
        value: What was given; None for nothing.

    Returns:
        Name to value. Names that got none are not in it.

    Raises:
        ProgramError: One value for several, or a name that there is not.
    """
    known = list(names)
    if value is None:
        return {}
    if not several:
        return dict.fromkeys(known, value)
    listed = ", ".join(map(repr, known))
    if not isinstance(value, Mapping):
        found = f"a {type(value).__name__}"
        raise ProgramError(keyword, found, f"a mapping with the keys {listed}", f"Give one value for each {what}.")
    unknown = [name for name in value if name not in known]
    if unknown:
        found = f"no {what} named " + ", ".join(map(repr, unknown))
        raise ProgramError(keyword, found, f"{what}s of this program ({listed})", "Correct the name.")
    return value

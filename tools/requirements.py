"""Prints what pyproject.toml names, as pip requirements: so that each pin stands in one place.

    tools/requirements.py build run export dev

"build" is the build system's list, "run" the package's own, any other word an extra or a dependency group.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

project: dict[str, Any] = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
lists: dict[str, list[str]] = {
    "build": project["build-system"]["requires"],
    "run": project["project"]["dependencies"],
    **project["project"]["optional-dependencies"],
    **project["dependency-groups"],
}

if __name__ == "__main__":
    requirements = dict.fromkeys(requirement for name in sys.argv[1:] for requirement in lists[name])
    print("\n".join(re.sub(r"\s", "", requirement) for requirement in requirements))

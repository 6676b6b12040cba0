"""Prints what pyproject.toml names, as pip requirements: so that each pin stands in one place.

    tools/requirements.py build run export dev

"build" is the build system's list, "run" the package's own, any other word an extra.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

try:
    import tomllib
except ImportError:  # Python 3.10
    from pip._vendor import tomli as tomllib

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
lists = {
    "build": project["build-system"]["requires"],
    "run": project["project"]["dependencies"],
    **project["project"]["optional-dependencies"],
}
requirements = dict.fromkeys(requirement for name in sys.argv[1:] for requirement in lists[name])
print("\n".join(re.sub(r"\s", "", requirement) for requirement in requirements))

"""`python -m torchtrt_ws`: the command line, and `--cmake-prefix-path` for C++ projects."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from torchtrt_ws.errors import WeightStreamingError


def cmake_prefix_path() -> str:
    """What CMAKE_PREFIX_PATH needs so that find_package(torchtrt_ws) works: our package and executorch's, by ';'.

    Raises:
        WeightStreamingError: executorch is not installed.
    """
    spec = importlib.util.find_spec("executorch")  # does not import it; a namespace package has locations, no origin
    locations = list(spec.submodule_search_locations or ()) if spec else []
    if not locations:
        raise WeightStreamingError(
            "executorch",
            "no such package",
            "the wheel whose C++ SDK torchtrt_ws is built on",
            "pip install --no-deps executorch==1.5.1",
        )
    return ";".join([str(_compiled_folder()), *locations])


def _compiled_folder() -> Path:
    """Where the libraries and headers are: the package, or in an editable install the part of it in site-packages."""
    native = importlib.util.find_spec("torchtrt_ws._native")
    if native is None or native.origin is None:
        raise WeightStreamingError(
            "torchtrt_ws",
            "a source tree without compiled code",
            "an installed package",
            "Install it with pip.",
        )
    return Path(native.origin).resolve().parent


def main() -> None:
    """Runs the command line; `--cmake-prefix-path` is for the module only, as CMake calls it."""
    if sys.argv[1:] != ["--cmake-prefix-path"]:
        from torchtrt_ws.cli.main import main as run_cli

        run_cli()
        return
    try:
        print(cmake_prefix_path())
    except WeightStreamingError as error:
        sys.exit(f"error: {error}")  # exit code 1


if __name__ == "__main__":
    main()

"""The command line's frame: finds subcommands, turns errors into one line on stderr and an exit code.

Exit codes: 0 done, or yes; 1 a problem with the file or the options, or the answer is no; 2 wrong usage.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from torchtrt_ws import logs
from torchtrt_ws.errors import WeightStreamingError

__all__ = ["app", "main"]

# A subcommand is the function of its name in the module of its name, below torchtrt_ws.cli ("-" is "_" there). Such a
# module imports what it works with inside the function: `--help` imports them all.
SUBCOMMANDS = (
    "inspect",
    "diff",
    "doctor",
    "check",
    "run",
    "warm",
    "serve",
    "bench",
    "plan",
    "wrap",
    "set-budget",
    "annotate",
    "strip",
    "merge",
    "combine",
    "cache",
    "keygen",
    "sign",
    "verify",
)

_PROBLEM = 1
_DEBUG = "--debug"


class _Subcommands(TyperGroup):
    """Imports a subcommand's module when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in SUBCOMMANDS:
            return None
        function = cmd_name.replace("-", "_")
        module = importlib.import_module(f"torchtrt_ws.cli.{function}")
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(cmd_name)(getattr(module, function))
        return typer.main.get_command(single)


app = typer.Typer(
    name="torchtrt-ws",
    cls=_Subcommands,
    no_args_is_help=True,
    rich_markup_mode=None,  # rich takes longer to import than everything else that --help needs
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from torchtrt_ws.versions import versions

        for name, version in versions().items():
            print(name, version)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print this version, and those of what it uses."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show where an error comes from.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log nothing; an error is one line still.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log all, on stderr.")] = False,
) -> None:
    """Weight streaming budgets in ExecuTorch programs: look, plan, run, change, wrap a plan, sign. Sizes are bytes."""
    if quiet and verbose:
        raise typer.BadParameter("--quiet and --verbose contradict each other")
    if quiet or verbose:
        os.environ[logs.VARIABLE] = "quiet" if quiet else "verbose"  # for whatever subcommand loads something


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits.

    Args:
        arguments: What follows the program's name; None for `sys.argv`. `--debug` may stand anywhere.

    Raises:
        SystemExit: Always: 0, 1 or 2, as above.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = _DEBUG in given
    try:
        app(args=[argument for argument in given if argument != _DEBUG], prog_name="torchtrt-ws")
    except WeightStreamingError as error:
        _fail(str(error), debug)
    except Exception as error:  # a full disk, or a bug: still one line, unless the user wants to see more
        found = f"{type(error).__name__}: {error}"
        _fail(str(error) if isinstance(error, OSError) else f"{found}. `{_DEBUG}` shows where.", debug)


def _fail(message: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
    sys.exit(_PROBLEM)

"""How every command starts, and how it ends on bad input: one line on stderr, exit status 2."""

import errno
import sys
from collections.abc import Callable
from typing import Any

import typer

from ups_data.errors import ToldError, UpsDataError, printable


def new_app() -> typer.Typer:
    """A program whose help is plain text: in boxes, long options and defaults are cut to fit a terminal."""
    return typer.Typer(
        add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
    )


def run(app: typer.Typer, name: str | None = None) -> None:
    """Run a program under its name in the help, None: that of the script."""
    try:
        app(prog_name=name)
    except ToldError:
        sys.exit(2)
    except UpsDataError as error:
        _end(str(error))
    except OSError as error:  # a file or folder that was given as an argument may not be read, made or written
        if error.errno == errno.EPIPE:  # whoever read what this printed has ended
            raise
        reason = f"{error.filename}: {error.strerror}" if error.filename else " ".join(str(error).split())
        _end(f"{reason}: check the path and its permissions")
    except MemoryError as error:
        _end_for_memory(error)
    except RuntimeError as error:
        if "allocate memory" not in str(error) and "out of memory" not in str(error):  # as torch has it
            raise
        _end_for_memory(error)


def _end_for_memory(error: Exception) -> None:
    reason = " ".join(str(error).split())[:200] or "no more is to be had"
    _end(f"there is not enough memory ({reason}): free some, or ask for less")


def _end(reason: str) -> None:
    print(f"error: {printable(reason)}", file=sys.stderr)
    sys.exit(2)


def run_command(command: Callable[..., Any]) -> None:
    """Run one command as a program of its own, as the scripts in `tools/` do."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(command)
    run(app)

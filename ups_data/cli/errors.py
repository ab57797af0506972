"""How every tool ends on bad input: one line on stderr, exit status 2."""

import sys

import typer

from ups_data.errors import UpsDataError


def run(app: typer.Typer) -> None:
    try:
        app()
    except UpsDataError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)

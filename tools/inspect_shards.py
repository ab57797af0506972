"""Shows what a dataset holds: `ups-data inspect` from a checkout."""

from ups_data.cli.commands.inspect import inspect
from ups_data.cli.errors import run_command

if __name__ == "__main__":
    run_command(inspect)

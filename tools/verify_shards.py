"""Checks a dataset against its manifest: `ups-data verify` from a checkout."""

from ups_data.cli.commands.verify import verify
from ups_data.cli.errors import run_command

if __name__ == "__main__":
    run_command(verify)

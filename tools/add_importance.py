"""Adds the importance of tiles to a dataset: `ups-data importance` from a checkout."""

from ups_data.cli.commands.importance import importance
from ups_data.cli.errors import run_command

if __name__ == "__main__":
    run_command(importance)

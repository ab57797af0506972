"""Simulates diffusion–reaction: `ups-data simulate` from a checkout."""

from ups_data.cli.commands.simulate import simulate
from ups_data.cli.errors import run_command

if __name__ == "__main__":
    run_command(simulate)

"""Trains the reference operator: `ups-data train` from a checkout."""

from ups_data.cli.commands.train import train
from ups_data.cli.errors import run_command

if __name__ == "__main__":
    run_command(train)

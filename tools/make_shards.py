"""Converts raw simulations into a dataset of zarr v3 shards: `ups-data convert` from a checkout."""

from ups_data.cli.commands.convert import convert
from ups_data.cli.errors import run_command

if __name__ == "__main__":
    run_command(convert)

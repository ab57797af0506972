"""Goes the whole path in three minutes: `ups-data quickstart` from a checkout."""

from ups_data.cli.commands.quickstart import quickstart
from ups_data.cli.errors import run_command

if __name__ == "__main__":
    run_command(quickstart)

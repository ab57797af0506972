"""`python -m ups_data.cli` is `ups-data`."""

from ups_data.cli.main import main

if __name__ == "__main__":
    main()

"""Hand a dataset on: a card for whoever gets it, and its trajectories as files that others read.

python examples/write_shards.py data/waves
python examples/share_a_dataset.py data/waves shared
"""

import sys
from pathlib import Path

from ups_data.card import write_card, write_page
from ups_data.exporting import export_dataset


def share(root: Path, out: Path) -> None:
    """A card beside the data, the same as a page, and exports to NetCDF and The Well's layout."""
    print("card:", ", ".join(write_card(root)))
    out.mkdir(parents=True, exist_ok=True)
    print("page:", write_page(root, out / "waves.html").name)
    for to in ("netcdf", "the_well"):
        done = export_dataset(root, out / to, to, name="waves")
        print(f"{to}: {done.trajectories} trajectories in {done.files} files")


if __name__ == "__main__":
    arguments = [Path(argument) for argument in sys.argv[1:]]
    share(*(arguments if len(arguments) == 2 else (Path("data/waves"), Path("shared"))))

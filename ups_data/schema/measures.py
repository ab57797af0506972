"""Where a dataset says how large the cells of its points are: a field of sizes, or a grid's axes."""

from ups_data.errors import UpsDataError
from ups_data.points.cells import GridCells, grid_cells
from ups_data.schema.manifest import Manifest

# Names of fields that hold sizes, alone or after the name of their set and an underscore, in any case of letters.
SIZES = tuple(
    name
    for kind in ("volume", "area", "length")
    for name in (f"cell_{kind}", f"point_{kind}", kind, f"{kind}s", *(["surface_area"] if kind == "area" else []))
)
LATITUDES = ("degrees_north", "degree_north", "degrees_n", "degree_n", "degreesn", "degreen")  # as CF writes them


def size_field(manifest: Manifest, set_name: str | None) -> str | None:
    """The field of one channel that holds the sizes of the cells of a set of points, or of a grid; None: there is none.

    On a grid only the names that readers give count: a variable that is called `area` may be anything.
    """
    ranks = {name: rank for rank, name in enumerate(SIZES) if manifest.grid is None or name.startswith("cell_")}
    found: dict[int, str] = {}
    for spec in manifest.fields:
        stem = spec.name.lower().removeprefix(f"{spec.point_set}_".lower())
        if spec.point_set == set_name and spec.channels == 1 and stem in ranks:
            found.setdefault(ranks[stem], spec.name)
    return found[min(found)] if found else None


def cells_of(manifest: Manifest) -> GridCells | None:
    """The cells of a dataset's grid as its axes give them; None: all are equal, or it has no grid."""
    if manifest.grid is None:
        return None
    axes = manifest.grid.axes
    latitude = [(axis.units or "").lower() in LATITUDES for axis in axes]
    return grid_cells([axis.physical for axis in axes], [bool(axis.periodic) for axis in axes], latitude)


def check_measure(manifest: Manifest, set_name: str | None, option: str, instead: str) -> None:
    """See that the sizes of a set's cells are known.

    Args:
        option: that needs them.
        instead: what to do without.

    Raises:
        UpsDataError: they are not; the message says what to do.
    """
    if manifest.grid is None and size_field(manifest, set_name) is None:
        of_set = "the dataset" if set_name is None else f"the set {set_name!r}"
        raise UpsDataError(
            f"{option}: {of_set} has no field of one channel with the sizes of its cells, such as cell_volume, "
            "point_area or length: convert meshes again that were converted by an older version, add such a field to "
            f"the source, or {instead}"
        )

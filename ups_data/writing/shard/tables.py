"""The small arrays of a shard: tables of its trajectories, numbers of points, names of channels."""

from collections.abc import Mapping, Sequence

import numpy as np
import zarr

from ups_data.schema.packs import channel_names
from ups_data.writing.layout import Layout, points_folder
from ups_data.writing.run import Run
from ups_data.writing.shard.compressors import zarr_compressors


def write_tables(
    group: zarr.Group,
    runs: Sequence[Run],
    layout: Layout,
    counts: Mapping[str | None, list[int]],
    masks: Mapping[str, np.ndarray],
) -> None:
    """`trajectories/*` and the numbers of points: small arrays, plain zarr.

    Args:
        masks: name → a table of which mask each frame has.
    """
    table = group["trajectories"]
    assert isinstance(table, zarr.Group)
    table.attrs.update({"key": [r.key for r in runs], "source": [r.source for r in runs], "params": layout.params})
    if any(r.start for r in runs):
        table.attrs["start"] = [r.start for r in runs]
    steps = [r.steps for r in runs]
    columns: dict[str, tuple[np.ndarray, tuple[str, ...]]] = {
        "trajectories/offset": (np.cumsum([0, *steps[:-1]]), ("trajectory",)),
        "trajectories/steps": (np.asarray(steps), ("trajectory",)),
        "trajectories/geometry": (
            np.arange(len(runs)) if layout.points else np.zeros(len(runs), int),
            ("trajectory",),
        ),
        "trajectories/time": (np.concatenate([r.time for r in runs]), ("row",)),
    }
    if layout.params:
        values = np.array([[r.params[p] for p in layout.params] for r in runs], np.float64)
        columns["trajectories/params"] = (values, ("trajectory", "parameter"))
    columns |= {name: (rows, ("row",)) for name, rows in masks.items()}
    for name, points in counts.items():
        columns[f"{points_folder(name)}/count"] = (np.asarray(points), ("geometry",))
    for name, pack in layout.packs.items():
        dim = layout.points[layout.set_of_pack(name)].dim if pack.coords else 0
        labels = np.array(channel_names(pack, layout.specs, dim), np.dtypes.StringDType())
        columns[f"fields/{name}_channel"] = (labels, (f"{name}_channel",))  # a coordinate, to xarray
    for path, (data, dims) in columns.items():
        group.create_array(
            path,
            data=data,
            compressors=zarr_compressors("none", 8),
            dimension_names=dims,
            config={"write_empty_chunks": True},  # a table of zeros is there too, or its loss would not be noticed
        )

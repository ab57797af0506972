"""The statistics that a dataset of The Well publishes in `stats.yaml`, compared with those of a conversion."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]

from ups_data.schema.texts.yaml_text import parse_yaml
from ups_data.sources.limits import TEXT_BYTES

# Key in stats.yaml → name in a manifest.
KEYS = {
    **{"mean": "mean", "std": "std", "rms": "rms"},
    **{"mean_delta": "delta_mean", "std_delta": "delta_std", "rms_delta": "delta_rms"},
}
# Published in five digits, and summed in another order, over files of different lengths.
TOLERANCE = 0.01
MOST_VALUES = 50_000


def compare_published(path: Path, statistics: Mapping[str, Mapping[str, list[float] | None]]) -> list[str]:
    """What to tell of a comparison: a line for each field that differs, or one that says that all agree.

    A number differs if it is further from the published one than a hundredth of the field's root mean square (of its
    differences, for those).

    Args:
        path: the source: the dataset's folder, one below it, or a file. `stats.yaml` lies at most three levels up.
        statistics: field → name as in a manifest → a number for each channel, of the split `train`.

    Returns:
        Nothing where no statistics are published.
    """
    file = next((f / "stats.yaml" for f in (path, *path.absolute().parents[:3]) if (f / "stats.yaml").is_file()), None)
    if file is None or file.stat().st_size > TEXT_BYTES:
        return []
    try:
        published = parse_yaml(file.read_text(), MOST_VALUES)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        return [f"{file}: cannot be compared, it is not YAML ({' '.join(str(error).split())[:100]})"]
    if not isinstance(published, dict):
        return []
    lines, compared = [], set()
    for key, name in KEYS.items():
        given = published.get(key)
        for field, values in given.items() if isinstance(given, dict) else ():
            here = statistics.get(str(field), {}).get(name)
            if here is None:
                continue
            compared.add(field)
            scale = statistics[field].get("delta_rms" if "delta" in key else "rms") or here
            if difference := _difference(values, here, scale):
                lines.append(f"{file}: {field}: {key} is {difference}")
    return lines or ([f"{file}: agrees with what was converted, fields compared: {len(compared)}"] if compared else [])


def _difference(published: Any, here: list[float], scale: list[float]) -> str | None:
    try:
        there = np.asarray(published, np.float64).reshape(-1)
    except (TypeError, ValueError):
        return f"{published!r}, which is no number"
    mine = np.asarray(here, np.float64)
    if there.shape != mine.shape:
        return f"published for {there.size} components, there are {mine.size}"
    worst = int(np.argmax(np.abs(there - mine) / np.maximum(np.abs(np.asarray(scale, np.float64)), 1e-30)))
    if abs(there[worst] - mine[worst]) <= TOLERANCE * abs(scale[worst]) + 1e-12:
        return None
    return f"{there[worst]:.5g} as published, {mine[worst]:.5g} in the data (component {worst})"

"""What a manifest says of masks, and what is asked of it."""

from collections.abc import Mapping, Sequence

from ups_data.schema.specs import Model, ShardSpec


class MaskSpec(Model):
    """Points of a set that do not count in some frames: they have no value (land, an obstacle). They are never drawn.

    Attributes:
        fill: the value that all fields of the set hold there; None: the source's own values were kept.
        moving: whether the points that count change within a trajectory.
    """

    fill: float | None = None
    moving: bool = False


def check_masks(masks: Mapping[str, MaskSpec], shards: Sequence[ShardSpec], sets: set[str]) -> None:
    """Masks are of sets that there are, and of every trajectory.

    Args:
        sets: names of the sets of points, "" of a grid and of an only set.

    Raises:
        ValueError: they are not.
    """
    if not set(masks) <= sets:
        raise ValueError(f"masks are of {sorted(masks)}, sets of points are {sorted(sets)}")
    for shard in shards:
        for name, listed in (shard.masks or {}).items():
            if name not in masks:
                raise ValueError(f"shard {shard.path!r} has masks of {name!r}, the dataset of {sorted(masks)}")
            counts = zip(listed.fewest, listed.most, strict=False)
            if not len(listed.fewest) == len(listed.most) == len(shard.steps) or any(a > b for a, b in counts):
                raise ValueError(f"shard {shard.path!r} must say how many points of each trajectory count")

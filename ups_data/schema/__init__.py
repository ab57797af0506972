"""The manifest, `dataset.json`: everything about a dataset that can be known without reading a shard.

The manifest is written last and atomically, so what it lists exists whole. It is validated on reading: it may come
from anywhere.
"""

from ups_data.schema.file import MANIFEST
from ups_data.schema.manifest import Manifest
from ups_data.schema.masks.spec import MaskSpec
from ups_data.schema.specs import (
    NAME,
    AxisSpec,
    FieldSpec,
    FieldStatistics,
    GridSpec,
    LeftOut,
    PointsSpec,
    PointStatistics,
    ShardMasks,
    ShardSpec,
    SplitSpec,
    Summary,
    check_split_name,
    is_name,
)
from ups_data.schema.trajectories import TrajectoryOrigin

__all__ = [
    "MANIFEST",
    "NAME",
    "AxisSpec",
    "FieldSpec",
    "FieldStatistics",
    "GridSpec",
    "LeftOut",
    "Manifest",
    "MaskSpec",
    "PointStatistics",
    "PointsSpec",
    "ShardMasks",
    "ShardSpec",
    "SplitSpec",
    "Summary",
    "TrajectoryOrigin",
    "check_split_name",
    "is_name",
]

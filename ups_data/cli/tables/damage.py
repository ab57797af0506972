"""What is damaged, and what was left out."""

from collections.abc import Sequence

from ups_data.cli.tables.sheet import Sheet
from ups_data.schema import Manifest
from ups_data.store.verify import Damage


def damage_table(damage: Sequence[Damage]) -> Sheet:
    """Every damage of a dataset, by shard."""
    shards = len({d.shard for d in damage})
    table = Sheet("shard", "damage", title=f"{shards} damaged shard(s)", folds=("shard", "damage"))
    for d in damage:
        table.add_row(d.shard, d.reason)
    return table


def left_out_table(manifest: Manifest) -> Sheet:
    """The trajectories of the source that the dataset lacks, and why."""
    left_out = manifest.left_out or []
    table = Sheet("trajectory", "reason", title=f"left out: {len(left_out)}", folds=("trajectory", "reason"))
    for entry in left_out:
        table.add_row(entry.key, entry.reason)
    return table

"""How a dataset is loaded: lines that can be copied."""

from ups_data.card.parts import Foreign, Section
from ups_data.schema import Manifest


def loading_section(manifest: Manifest) -> Section:
    """For training, and one frame as numpy has it. Names are what a manifest allows: nothing in them is code."""
    splits = [name for name, held in manifest.splits.items() if held.shards]
    split = "train" if "train" in splits else splits[0]
    target = manifest.default_targets()[0]
    of_set = manifest.field(target).point_set
    part = "batch" if of_set is None else f'batch["{of_set}"]'
    longest = max(n for shard in manifest.splits[split].shards for n in shard.steps)
    steps = "horizon=0, " if longest == 1 else ""  # a frame is its own target
    lines = [
        "from ups_data import QueryLoader, QuerySampling",
        "",
        'root = "."  # the folder of this file, or the URL of the dataset',
        f'loader = QueryLoader(root, split="{split}", batch_size=8, {steps}sampling=QuerySampling(ratio=0.1))',
        "for batch in loader:",
        f"    {part}.inputs, {part}.target_queries  # what a model sees, and the points drawn with their values",
        "",
        "from ups_data.schema import Manifest",
        "from ups_data.store.shard import Shard",
        "",
        "manifest = Manifest.load(root)",
        f'shard = Shard(root, manifest, manifest.split("{split}").shards[0])',
        f'shard.frame("{target}", trajectory=0, step=0)  # (points, channels)',
    ]
    text = [["Needs ", Foreign("pip install ups_data"), ". Every shard is also a plain zarr v3 group."]]
    return Section("How to load it", text, code="\n".join(lines))

"""Digests of the batches of two epochs of many loaders, to tell whether another commit makes the same ones.

    python same_batches.py --checkout OLD --datasets data --out old.json --shards old_shards.json
    python same_batches.py --checkout NEW --datasets data --out new.json --compare old.json \\
        --shards new_shards.json --compare-shards old_shards.json

Older commits filled up the chunks of short arrays. With `--padded` the shards are made like that, so that their files
can be compared with those; batches do not depend on it.

Run it with the Python in which the checkout's `ups_data` is installed. It ends with status 1 where anything differs.
"""

import sys

from batch_digests.command import main

if __name__ == "__main__":
    sys.exit(main(__doc__))

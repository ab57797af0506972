"""Making the openings of a dataset, from the shards that it has."""

from collections.abc import Iterator

from ups_data.errors import UpsDataError
from ups_data.schema import Manifest, limits
from ups_data.schema.texts.json_text import parse_json
from ups_data.schema.trajectories import SEAL
from ups_data.store.arrays.codecs import CHECKSUM_BYTES
from ups_data.store.arrays.metadata import ARRAY, direct_layout
from ups_data.store.object_store import ObjectStore
from ups_data.store.openings.format import INDEX, opening_key, packed
from ups_data.store.root import Root, open_store
from ups_data.store.seal import Seal, load_seal

TABLES = "trajectories/"


def make_openings(root: Root, manifest: Manifest | None = None, *, into: Root | None = None) -> dict[str, int]:
    """Write the openings of every split; nothing else of the dataset changes.

        make_openings("data/run")

    Args:
        root: the dataset's folder, or a store that can be written to.
        manifest: None: the one that lies there.
        into: where they are written, if not there.

    Returns:
        split → bytes written.

    Raises:
        UpsDataError: there is no dataset, a shard cannot be read, or the store cannot be written to.
    """
    store = open_store(root)
    target = store if into is None else open_store(into)
    manifest = Manifest.load(store) if manifest is None else manifest
    written = {}
    for name, split in manifest.splits.items():
        data = packed(
            [dict(_files(store, spec.path, load_seal(store, spec.path, spec.digest))) for spec in split.shards]
        )
        target.put(opening_key(name), data)
        written[name] = len(data)
    return written


def _files(store: ObjectStore, key: str, seal: Seal) -> Iterator[tuple[str, bytes]]:
    """Name → bytes of what is read of a shard before its chunks are."""
    where = f"shard {store.name(key)}"
    yield SEAL, store.get(f"{key}/{SEAL}", limits.JSON_BYTES)
    for name in seal.files:
        if name.startswith(TABLES):
            yield name, seal.read(name, where=where, limit=limits.TABLE_BYTES)
        elif name.endswith(f"/{ARRAY}"):
            text = seal.read(name, where=where)
            yield name, text
            array = name.removesuffix(f"/{ARRAY}")
            layout = direct_layout(parse_json(text)) if array in seal.chunks else None
            if layout is not None:
                length = 16 * layout.object_rows * layout.blocks + CHECKSUM_BYTES
                opened = [
                    (file, store.open(f"{key}/{file}", size))
                    for file, (size, _) in seal.files.items()
                    if file.startswith(f"{array}/c/") and size >= length
                ]
                tails = store.get_tails([found for _, found in opened], length)
                for number, (file, _) in enumerate(opened):
                    yield f"{file}{INDEX}", bytes(tails.body(number))


def refresh_openings(root: Root, manifest: Manifest) -> None:
    """Make the openings again if the dataset has any: its shards have changed.

    Raises:
        UpsDataError: as `make_openings`.
    """
    store = open_store(root)
    for name in manifest.splits:
        try:
            store.open(opening_key(name), None)
        except UpsDataError:
            continue
        make_openings(store, manifest)
        return

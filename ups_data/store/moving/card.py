"""The keys of a dataset's card, which is copied with the dataset. No seal vouches for it, and no loader reads it."""

from ups_data.errors import MissingObjectError, StoreError
from ups_data.schema import Manifest
from ups_data.store.object_store import ObjectStore

README, CARD_FOLDER = "README.md", "card"
MARK = b"<!-- Written by ups-data: `ups-data card` writes it again. -->\n"
MOST_PICTURES = 40
MOST_BYTES = 16 * 1024**2  # of an object of a card


def card_keys(manifest: Manifest) -> list[str]:
    """The objects that a dataset's card may have, its text the last."""
    return [*(f"{CARD_FOLDER}/{field.name}.png" for field in manifest.fields[:MOST_PICTURES]), README]


def has_foreign_readme(store: ObjectStore) -> bool:
    """Whether a text lies in the card's place that was not written here."""
    try:
        return not store.get(README, MOST_BYTES).startswith(MARK)
    except MissingObjectError:
        return False
    except StoreError:  # too long, for example
        return True


def copy_card(source: ObjectStore, target: ObjectStore, manifest: Manifest) -> None:
    """Copy what there is of a card; not over a text that was not written here."""
    for key in reversed(card_keys(manifest)):
        try:
            data = source.get(key, MOST_BYTES)
        except StoreError:
            data = b""
        if key == README and (not data.startswith(MARK) or has_foreign_readme(target)):
            return
        if data:
            target.put(key, data)

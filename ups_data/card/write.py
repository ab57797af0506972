"""`write_card` and `write_page`: a card beside a dataset, or as a page."""

import logging
from pathlib import Path

from ups_data.atomic import replacing
from ups_data.card.facts import card_of
from ups_data.card.frames import frames_of
from ups_data.card.html import page
from ups_data.card.loading import loading_section
from ups_data.card.markdown import markdown
from ups_data.card.parts import Card, Foreign, Picture, Section
from ups_data.errors import UpsDataError
from ups_data.schema import FieldSpec, Manifest
from ups_data.store.moving.card import CARD_FOLDER, MARK, MOST_PICTURES, README, has_foreign_readme
from ups_data.store.object_store import ObjectStore
from ups_data.store.root import Root, open_store


def write_card(root: Root, manifest: Manifest | None = None) -> list[str]:
    """Write `README.md` and `card/FIELD.png` beside `dataset.json`.

        write_card("data/run")

    The same dataset gives the same bytes with the same versions of this package and of matplotlib. Without
    matplotlib (the extra `plots`) there are no pictures, which the text says.

    Args:
        root: the dataset's folder, or a store that can be written to.
        manifest: None: the one that lies there.

    Returns:
        the keys that were written, `README.md` the last.

    Raises:
        UpsDataError: there is no dataset, it cannot be written to, or it has a `README.md` that was not written here.
    """
    store = open_store(root)
    if has_foreign_readme(store):
        raise UpsDataError(
            f"{store.name(README)}: was not written by ups-data: move it away, or read the card as a page"
        )
    manifest = Manifest.load(store) if manifest is None else manifest
    card = full_card(store, manifest)
    files = {
        f"{CARD_FOLDER}/{picture.file}": picture.png
        for section in card.sections
        for picture in section.pictures
        if picture.png is not None
    }
    files[README] = MARK + markdown(card, CARD_FOLDER).encode()
    for key, data in files.items():
        store.put(key, data)
    return list(files)


def write_own_card(store: ObjectStore, manifest: Manifest) -> None:
    """Write a card where no `README.md` of somebody else lies; that one stays."""
    if not has_foreign_readme(store):
        write_card(store, manifest)


def write_page(root: Root, out: str | Path) -> Path:
    """Write the card as one page of HTML that needs nothing else and asks nobody for anything.

        write_page("s3://bucket/run", "run.html")

    Returns:
        the page's path.

    Raises:
        UpsDataError: there is no dataset, or the page cannot be written.
    """
    store = open_store(root)
    text = page(full_card(store, Manifest.load(store)))
    try:
        with replacing(Path(out)) as file:
            file.write(text.encode())
    except OSError as error:
        raise UpsDataError(f"{out}: cannot be written ({error.strerror}): name another file") from None
    return Path(out)


def full_card(store: ObjectStore, manifest: Manifest) -> Card:
    """A card with its pictures.

    Raises:
        UpsDataError: the dataset lists no shards.
    """
    if not any(split.shards for split in manifest.splits.values()):
        raise UpsDataError(f"{store}: lists no shards; make the dataset again")
    card = card_of(manifest)
    card.sections.insert(0, _pictures(store, manifest))
    card.sections.append(loading_section(manifest))
    return card


def _pictures(store: ObjectStore, manifest: Manifest) -> Section:
    """A picture for each field; where one cannot be drawn, the text says why."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it says where it keeps its cache, and that it makes one
    try:
        import matplotlib.figure  # noqa: F401

        drawn = [_picture(store, manifest, field) for field in manifest.fields[:MOST_PICTURES]]
    except ImportError:
        why = "There are no pictures: matplotlib was not installed. `ups-data card` adds them once it is."
        return Section("Pictures", [[why]])
    finally:
        logger.setLevel(level)
    text = [list(picture.caption) for picture in drawn if picture.png is None]
    if len(manifest.fields) > MOST_PICTURES:
        text.append([f"Only the first {MOST_PICTURES} of {len(manifest.fields):,} fields are drawn."])
    return Section("Pictures", text, pictures=[picture for picture in drawn if picture.png is not None])


def _picture(store: ObjectStore, manifest: Manifest, field: FieldSpec) -> Picture:
    from ups_data.card.pictures import picture_of  # late: needs matplotlib

    name = f"{field.name}.png"
    try:
        png = picture_of(manifest, field, frames_of(store, manifest, field))
    except Exception as error:  # a card is no reason for which a dataset is not finished
        why = str(error) or type(error).__name__
        return Picture(name, [Foreign(field.name), " is not drawn: ", Foreign(why)])
    caption = "the middle frame of the first trajectory of each split, and points drawn of it."
    return Picture(name, [Foreign(field.name), f": {caption}"], png)

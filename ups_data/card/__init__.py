"""A dataset's card: what somebody needs who gets it and was not there when it was made.

`write_card(root)` writes `README.md` and a picture of every field beside `dataset.json`; `write_page(root, out)` writes
the same as one page of HTML. Nothing of a card is read by a loader: it may be removed, or made again.
"""

from ups_data.card.write import write_card, write_page

__all__ = ["write_card", "write_page"]

"""What a page of HTML does: its tags, and the addresses and scripts that it names."""

from html.parser import HTMLParser


class Seen(HTMLParser):
    """Collects them as `feed` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href") or name.startswith("on")]

"""A table that is never cut: it fits the terminal, or is shown row by row."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from ups_data.errors import printable

FOLDED = 16  # a column of long text gets at least so many characters, and breaks over lines


class Sheet:
    """Rows under headers, for `Console.print`.

    If the widest row does not fit the terminal, headers break between words, then long text breaks. If that is not
    enough, the frame goes, and then each row becomes a list of `header value` lines. Numbers are never broken or cut,
    and text out of files is neither markup nor control characters.

    Args:
        headers: of the columns.
        title, caption: above and below.
        text: headers of columns of text, aligned left; the others are numbers.
        folds: headers of columns of text that may break anywhere.
    """

    def __init__(
        self,
        *headers: str,
        title: str = "",
        caption: str = "",
        text: Sequence[str] = (),
        folds: Sequence[str] = (),
    ) -> None:
        self.headers = [printable(header) for header in headers]
        self.title, self.caption = printable(title), printable(caption)
        self._text, self._folds = {*text, *folds}, set(folds)
        self._rows: list[list[str]] = []
        self._styles: list[str | None] = []
        self._sections: set[int] = set()

    def add_row(self, *cells: object, style: str | None = None) -> None:
        """One cell for each header."""
        if len(cells) != len(self.headers):
            raise ValueError(f"{len(cells)} cells for {len(self.headers)} headers")
        self._rows.append([printable(cell) for cell in cells])
        self._styles.append(style)

    def add_section(self) -> None:
        """A line below the last row."""
        self._sections.add(len(self._rows))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = len(self.headers)
        if widths := self._widths(options.max_width - 3 * columns - 1):
            yield self._table(widths)
        elif widths := self._widths(options.max_width - columns):
            yield self._table(widths, framed=False)
        else:
            yield Group(*self._lines())

    def _widths(self, available: int) -> list[int] | None:
        """Of the columns' texts; None: they do not fit."""
        natural, least = [], []
        for place, header in enumerate(self.headers):
            cells = max((cell_len(row[place]) for row in self._rows), default=0)
            word = max(map(cell_len, header.split()), default=0)
            natural.append(max(cells, cell_len(header)))
            least.append(max(word, min(cells, FOLDED) if header in self._folds else cells))
        if sum(least) > available:
            return None
        spare = available - sum(least)
        widths = []
        for low, high in zip(least, natural, strict=True):
            more = min(high - low, spare)
            widths.append(low + more)
            spare -= more
        return widths

    def _table(self, widths: list[int], framed: bool = True) -> Table:
        table = Table(
            box=box.HEAVY_HEAD if framed else None,
            padding=(0, 1) if framed else (0, 1, 0, 0),
            title=Text(self.title, style="table.title") if self.title else None,
            caption=Text(self.caption, style="table.caption") if self.caption else None,
            title_justify="left",
            caption_justify="left",
        )
        for header, width in zip(self.headers, widths, strict=True):
            side = "left" if header in self._text else "right"
            table.add_column(Text(header), width=width, justify=side, overflow="fold")  # type: ignore[arg-type]
        for number, (row, style) in enumerate(zip(self._rows, self._styles, strict=True)):
            table.add_row(*map(Text, row), style=style, end_section=number + 1 in self._sections)
        return table

    def _lines(self) -> Iterator[Text]:
        """The rows one below the other."""
        label = max(map(cell_len, self.headers), default=0)
        if self.title:
            yield Text(self.title, style="table.title")
        for row, style in zip(self._rows, self._styles, strict=True):
            for header, cell in zip(self.headers, row, strict=True):
                yield Text(f"  {header}{' ' * (label - cell_len(header))}  {cell}", style=style or "", overflow="fold")
            yield Text("")
        if self.caption:
            yield Text(self.caption, style="table.caption")

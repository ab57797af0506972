"""Pages of HTML that need nothing else: one file each, without scripts, that asks nobody for anything."""

from ups_data.pages.html import document, figure, section, table, text

__all__ = ["document", "figure", "section", "table", "text"]

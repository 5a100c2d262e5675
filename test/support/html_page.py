"""A page of HTML as its tags, links and text, for tests of what reports say."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

VOID = {'meta', 'img', 'line', 'polyline', 'rect', 'circle'}


class Page(HTMLParser):
    """Collects every tag and what it links to; fails on a tag that is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.links: list[str] = []
        self.text = ''

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.links += [value or '' for name, value in attrs if name in ('src', 'href')]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read_page(path: Path) -> Page:
    """Return a page whose tags are all closed."""
    page = Page()
    page.feed(path.read_text())
    assert page.open == []
    return page

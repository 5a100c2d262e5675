"""A hook of mkdocs: files of the repository outside of docs/ are named by their path, not linked.

One that is not there is a warning, which `make docs` counts as an error as it does broken links.
"""

import logging
import re
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
_LINK = re.compile(r'\[([^\]]+)\]\(((?:\.\./|examples/)[^)#]+)(#[^)]*)?\)')
_log = logging.getLogger('mkdocs.hooks.links')


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the text of a page with such links as names."""

    def named(link: re.Match[str]) -> str:
        path = (REPOSITORY / 'docs' / link[2]).resolve()
        if not path.exists() or not path.is_relative_to(REPOSITORY):
            _log.warning("%s links to '%s', which is not there", page.file.src_path, link[2])
        inside = path.relative_to(REPOSITORY) if path.is_relative_to(REPOSITORY) else link[2]
        return f'{link[1]} (`{inside}`)' if str(inside) != link[1] else f'`{inside}`'

    return _LINK.sub(named, markdown)

"""Where the files of a data set lie, as info.json says it: `data/chunk-{chunk_index:03d}/..`.

The text comes from whoever made the set, so it is not given to str.format, which reads attributes
and fills gigabytes of zeros: only names of fields and plain widths are known here.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePosixPath

from robomamba_ros.errors import DataError

# A field, with `:03d` or none; or a brace that begins or ends none.
_FIELD = re.compile(r'\{(\w+)(?::0?(\d{1,2})d)?\}|[{}]')
# The one field that is filled with a text.
NAMED = 'video_key'
# Of what a field is filled with: chunks and files are counted, and no set has a million of them.
_LARGEST = 10**6


class PathTemplate:
    """A path within a data set, with fields to fill in.

    text: as in info.json; fields: the names it may have; where: names the file in a DataError. One
    is raised for anything else, and for a path that leads out of the set.
    """

    def __init__(self, text: object, fields: Collection[str], where: str) -> None:
        if not isinstance(text, str) or not text or '\0' in text:
            raise DataError(f'{where} is {text!r:.80}; needed is a path')
        self.text, self._where = text, where
        for match in _FIELD.finditer(text):
            if match[1] not in fields:
                known = ', '.join(f'{{{name}}}' for name in fields)
                raise DataError(
                    f"{where} has '{match[0][:40]}' in it; known are {known}, with a width as :03d"
                )
        self._check(_FIELD.sub('0', text))

    def fill(self, **values: int | str) -> str:
        """Return the path; raises DataError for a number or name that leads out of the set."""

        def fill(match: re.Match[str]) -> str:
            value = values[match[1]]
            if match[1] == NAMED and isinstance(value, str):
                return value
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _LARGEST:
                raise DataError(f'{self._where}: {match[1]} is {value!r:.40}, no number of a file')
            return f'{value:0{int(match[2] or 0)}d}'

        filled = _FIELD.sub(fill, self.text)
        self._check(filled)
        return filled

    def _check(self, path: str) -> None:
        parts = PurePosixPath(path)
        if parts.is_absolute() or '..' in parts.parts or '\\' in path:
            raise DataError(
                f"{self._where} is '{self.text[:80]}', which leads out of the data set; write a "
                'path within it'
            )

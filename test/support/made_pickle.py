"""A pickle that holds code, for tests of files that are not to be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Code:
    """Makes a file when a pickle of it is trusted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), 'w')

"""Finds the files that ship beside the code: config/, models/, launch/.

From a checkout (or `pip install -e`) they lie in the repository; after `colcon build` or
`pip install` they lie in <prefix>/share/robomamba_ros.
"""

from __future__ import annotations

import os
from pathlib import Path

from robomamba_ros.errors import ConfigError


def share_directory() -> Path:
    """Return the folder that holds config/ and models/; raises ConfigError where there is none."""
    here = Path(__file__).resolve()
    candidates = [here.parents[3]]
    candidates += [parent / 'share' / 'robomamba_ros' for parent in here.parents]
    for candidate in candidates:
        if (candidate / 'config' / 'arms').is_dir():
            return candidate
    raise ConfigError(
        f'the shared files of robomamba_ros (config/, models/) were not found above {here}; '
        'install the package with colcon build or pip install'
    )


def find_file(kind: str, name: str, suffix: str = '.yaml') -> Path:
    """Return `name` where it is a path, else the shared file config/<kind>/<name><suffix>."""
    given = Path(name)
    if given.suffix == suffix:
        if given.is_file():
            return given
        found = 'no regular file at' if os.path.lexists(given) else 'no file'
        raise ConfigError(f"there is {found} '{given}'")
    folder = share_directory() / 'config' / kind
    path = folder / f'{name}{suffix}'
    if path.is_file():
        return path
    known = ', '.join(sorted(p.stem for p in folder.glob(f'*{suffix}'))) or 'none'
    raise ConfigError(
        f"there is no '{name}' in {folder} (known: {known}); give one of these or a path that "
        f'ends in {suffix}'
    )

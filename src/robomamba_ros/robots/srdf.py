"""Reads the pairs of links that an SRDF, as of MoveIt's Setup Assistant, leaves unwatched."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from robomamba_ros.errors import ConfigError
from robomamba_ros.robots.urdf_text import parse, read_text


def disabled_pairs(path: str | None) -> set[frozenset[str]]:
    """Return the pairs of links in an SRDF that need no watch, none without a file.

    Raises ConfigError where it cannot be read.
    """
    if path is None:
        return set()
    try:
        root: ElementTree.Element = parse(read_text(Path(path)), path)
    except (OSError, ConfigError) as error:
        raise ConfigError(f'space.srdf: {path} cannot be read: {error}') from error
    pairs = root.iter('disable_collisions')
    return {frozenset((str(p.get('link1')), str(p.get('link2')))) for p in pairs}

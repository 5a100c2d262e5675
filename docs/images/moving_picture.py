"""Joins films of `robomamba evaluate --videos` side by side into the moving picture of the README.

for task in drawer-open door-open window-close button-press-topdown; do
  robomamba evaluate models/anolevla-mt10-clean --tasks $task --first-seed 7000 --episodes 1 \
    --videos out/film
done
python docs/images/moving_picture.py out/film/*.mp4
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from robomamba_ros.simulation.catalog import all_tasks
from robomamba_ros.types import UInt8Array

OUT = Path(__file__).with_name('run.webp')
SIDE, BAR = 224, 24  # of a film, and of the words above it [px]
# Half the speed of the run, whose films have 20 images a second.
IMAGE_MS, REST_MS = 100, 1500
INK, PAPER, QUALITY = (40, 40, 40), 255, 70


def images(path: Path) -> list[UInt8Array]:
    """Return the images of a film in BGR."""
    film = cv2.VideoCapture(str(path))
    found = []
    while (read := film.read())[0]:
        found.append(cv2.resize(read[1], (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    return found


def column(path: Path, count: int) -> list[UInt8Array]:
    """Return `count` images of a film, its last one held, with the instruction above."""
    bar = np.full((BAR, SIDE, 3), PAPER, dtype=np.uint8)
    words = all_tasks()[path.stem.split('_')[1]].instruction
    place = (4, BAR - 8)
    cv2.putText(bar, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
    found = images(path)
    found += found[-1:] * (count - len(found))
    return [np.vstack([bar, image]) for image in found]


def main() -> None:
    """Write the picture of the films given, and say how large it is."""
    paths = [Path(name) for name in sys.argv[1:]]
    count = max(len(images(path)) for path in paths)
    columns = [column(path, count) for path in paths]
    animation = cv2.Animation()
    animation.frames = [np.hstack(row) for row in zip(*columns, strict=True)]
    animation.durations = [IMAGE_MS] * (count - 1) + [REST_MS]
    cv2.imwriteanimation(str(OUT), animation, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    print(f'{OUT}: {count} images, {OUT.stat().st_size / 1e6:.2f} MB')


if __name__ == '__main__':
    main()

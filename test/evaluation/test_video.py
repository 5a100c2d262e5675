from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from robomamba_ros.errors import DataError
from robomamba_ros.evaluation.video import write_video
from robomamba_ros.types import UInt8Array


def made_image(red: int, height: int = 96, width: int = 128) -> UInt8Array:
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[..., 0] = red
    image[..., 2] = 40
    return image


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / 'new folder' / 'run.mp4'
    reds = [40, 120, 200]
    write_video(path, (made_image(red) for red in reds), fps=20.0)
    capture = cv2.VideoCapture(str(path))
    try:
        assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(20.0)
        for red in reds:
            found, image = capture.read()
            assert found
            assert image.shape == (96, 128, 3)
            blue_green_red = image.reshape(-1, 3).mean(axis=0)
            assert blue_green_red == pytest.approx([40, 0, red], abs=8)
        assert not capture.read()[0]
    finally:
        capture.release()


def test_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'written as \.mp4'):
        write_video(tmp_path / 'run.avi', [made_image(0)], fps=20.0)
    with pytest.raises(DataError, match='no images'):
        write_video(tmp_path / 'run.mp4', [], fps=20.0)
    with pytest.raises(DataError, match='image 1 has shape'):
        write_video(tmp_path / 'run.mp4', [made_image(0), made_image(0, height=64)], fps=20.0)

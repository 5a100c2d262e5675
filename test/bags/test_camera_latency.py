"""A camera's `latency_s` counts once, beside `--offset`, in a data set and in a replay alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.made_recording import ARM, MS, START_MS, STEP_MS, Recording, convert, header, image

from robomamba_ros.bags.reader import Bag
from robomamba_ros.policies.base import CameraSpec, PolicySpec
from robomamba_ros.replay.inputs import BagInputs
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import ActionSpace

LATE_MS = 2 * STEP_MS  # how much later than it was taken an image is stamped
# latency_s, offset [s], and by how many steps the images are then taken for older than they are.
CASES = [
    (0.0, 0.0, -2),
    (0.1, 0.0, 0),
    (0.05, 0.0, -1),
    (0.05, -0.05, 0),
    (0.0, -0.1, 0),
    (0.1, -0.1, 2),
    (0.2, 0.1, 0),
]


def late_bag(folder: Path) -> Path:
    """Record a camera that stamps an image when it is sent; its pixels tell when it was taken."""
    recording = Recording().run(stop=1000, drop=lambda topic, ms: topic == 'camera')
    for ms in range(0, 1000, STEP_MS):
        picture = image(ms)
        picture.header = header(ms + LATE_MS, 'corner2')
        recording.add(ms + LATE_MS + 20, '/camera/corner2/image', picture)
    return recording.write(folder / 'bag.mcap')


def arm_with(latency_s: float) -> ArmContract:
    return replace(ARM, cameras=(replace(ARM.cameras[0], latency_s=latency_s),))


@pytest.mark.parametrize(('latency_s', 'offset_s', 'shift'), CASES)
def test_from_bag_counts_it_once(
    tmp_path: Path, latency_s: float, offset_s: float, shift: int
) -> None:
    bag = late_bag(tmp_path)
    data, _ = convert([bag], tmp_path / 'set', arm_with(latency_s), offsets_s={'corner2': offset_s})
    assert len(data) > 10
    for frame in (0, len(data) // 2):
        window = data.window(frame, 1)
        # The arm moves 0.1 m/s in x, from 0 on.
        step = round(float(window.state[0]) / 0.1 * 1000 / STEP_MS)
        assert int(window.images['corner2'][0, 0, 0]) - step == shift


class Seen:
    """Notes when images were taken, by what they show."""

    def __init__(self) -> None:
        self.shifts: set[int] = set()

    def on_image(self, camera: str, stamp_ns: int, message) -> None:
        taken_ms = START_MS + int(message()[0, 0, 0]) * STEP_MS
        self.shifts.add(round((taken_ms - stamp_ns / MS) / STEP_MS))

    def on_state(self, state) -> None:
        pass

    def on_instruction(self, text: str) -> None:
        pass

    def on_problem(self, error) -> None:
        raise error


@pytest.mark.parametrize(('latency_s', 'offset_s', 'shift'), CASES)
def test_a_replay_counts_it_once(
    tmp_path: Path, latency_s: float, offset_s: float, shift: int
) -> None:
    spec = PolicySpec(
        'made',
        (CameraSpec('corner2', 8, 8),),
        ('ee_x',),
        ActionSpace.EE_DELTA,
        ('ee_dx',),
        1,
        STEP_MS * MS,
        1,
    )
    seen = Seen()
    with Bag(late_bag(tmp_path)) as bag:
        inputs = BagInputs(bag, arm_with(latency_s), spec, 'move', {'corner2': offset_s})
        for _, messages in inputs.instants():
            for each in messages:
                inputs.deliver(each, seen)
    assert seen.shifts == {shift}

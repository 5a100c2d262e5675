"""Makes a LeRobot data set from numbers and images of your own, and reads it again.

`robomamba dataset from-bag` makes one out of recordings; this is for everything else.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import robomamba_ros as rm

FPS = 10
JOINTS = ('shoulder', 'elbow')
FEATURES = {
    'observation.state': rm.Feature('float32', (2,), JOINTS),
    'action': rm.Feature('float32', (2,), JOINTS),
    'observation.images.front': rm.Feature('video', (64, 64, 3), ('height', 'width', 'channels')),
}


def write(root: Path) -> None:
    """Write two episodes of two seconds."""
    with rm.LeRobotWriter(root, fps=FPS, features=FEATURES, robot_type='my_arm') as writer:
        for episode in range(2):
            for frame in range(2 * FPS):
                angle = np.float32(frame / FPS)
                image = np.full((64, 64, 3), 10 * frame, dtype=np.uint8)
                writer.add_frame(
                    {
                        'observation.state': np.array([angle, episode], dtype=np.float32),
                        'action': np.array([angle + 0.1, episode], dtype=np.float32),
                        'observation.images.front': image,
                    },
                    task='wave',
                )
            writer.save_episode()


def main() -> None:
    """Write a data set, and print what a policy would be trained on."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / 'waving'
        write(root)
        data = rm.LeRobotDataset(root)
        print(f'{len(data.episodes)} episodes of {data.dt_ns / 1e6:g} ms a frame')
        print('state of frame 5:', data.values('observation.state')[5])
        print('its image:', data.image('observation.images.front', 5).shape, data.task(5))


if __name__ == '__main__':
    main()

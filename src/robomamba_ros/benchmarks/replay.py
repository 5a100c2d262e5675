"""Times replays of made recordings: `robomamba bench replay`.

One of ten minutes and 640x480 JPEG images with a policy that costs nothing, so that the rest is
seen; one of raw images with the policy that ships.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch

from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.writer import BagWriter, message
from robomamba_ros.benchmarks.measuring import PeakMemory, machine
from robomamba_ros.policies.base import CameraSpec, ChunkPolicy, LoadOptions
from robomamba_ros.policies.registry import load_chunk_policy
from robomamba_ros.policies.scripted import ScriptedPolicy, Stroke
from robomamba_ros.replay.predictions import Predictions, header, pose_stamped
from robomamba_ros.replay.run import Replay
from robomamba_ros.robots.arm import ArmContract, load_arm
from robomamba_ros.types import NANOSECONDS, UInt8Array

SHIPPED = 'anolevla-mt10'
STATE_HZ = 100
INSTRUCTION, JOINTS = 'std_msgs/msg/String', 'sensor_msgs/msg/JointState'
POSE, RAW, JPEG = (
    'geometry_msgs/msg/PoseStamped',
    'sensor_msgs/msg/Image',
    'sensor_msgs/msg/CompressedImage',
)


@dataclass(frozen=True)
class Recording:
    """What is recorded: its length [s], the images' size, rate [1/s] and form."""

    seconds: float
    camera: CameraSpec
    rate: int
    jpeg: bool

    def __str__(self) -> str:
        form = 'JPEG' if self.jpeg else 'rgb8'
        size = f'{self.camera.width}x{self.camera.height}'
        return f'{self.seconds:g} s, {form} {size} at {self.rate} Hz, states at {STATE_HZ} Hz'

    def contract(self) -> ArmContract:
        """Return the contract of the arm that it was recorded on."""
        arm = load_arm('sawyer_sim')
        transport = 'compressed' if self.jpeg else 'raw'
        return replace(arm, cameras=(replace(arm.cameras[0], transport=transport),))

    def write(self, path: Path) -> None:
        """Write it: the hand goes round while the picture changes."""
        arm = self.contract()
        image, joints, pose = arm.cameras[0].topic, *arm.inputs.values()
        with BagWriter(path) as writer:
            writer.add_topic('/instruction', INSTRUCTION)
            writer.add_topic(f'/{joints}', JOINTS)
            writer.add_topic(f'/{pose}', POSE)
            writer.add_topic(f'/{image}', JPEG if self.jpeg else RAW)
            writer.write('/instruction', 0, message(INSTRUCTION, data='go round'))
            images = self._images(arm)
            for i in range(int(self.seconds * STATE_HZ)):
                stamp_ns = (i + 1) * NANOSECONDS // STATE_HZ
                for topic, content in _state(arm, stamp_ns):
                    writer.write(f'/{topic}', stamp_ns, content)
                if i * self.rate // STATE_HZ != (i - 1) * self.rate // STATE_HZ:
                    content = next(images)
                    content.header = header(stamp_ns, arm.cameras[0].name)
                    writer.write(f'/{image}', stamp_ns, content)

    def _images(self, arm: ArmContract) -> Iterator[Any]:
        height, width = self.camera.height, self.camera.width
        random = np.random.default_rng(0)
        noise = random.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
        scene = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        shown = [_image(np.roll(scene, 7 * i, axis=1), self.jpeg) for i in range(30)]
        while True:
            yield from shown


def _state(arm: ArmContract, stamp_ns: int) -> Iterator[tuple[str, Any]]:
    turn = 2e-9 * stamp_ns
    stamped = header(stamp_ns, arm.base_frame)
    names = [*(joint.name for joint in arm.joints), *arm.names_of('gripper')]
    position = np.full(len(names), 0.1 * math.sin(turn))
    nothing = np.zeros(0)
    yield (
        arm.inputs['joint_states'],
        message(
            JOINTS, header=stamped, name=names, position=position, velocity=nothing, effort=nothing
        ),
    )
    where = (0.1 * math.sin(turn), 0.7 + 0.1 * math.cos(turn), 0.2)
    tilt = 0.1 * math.sin(turn)
    values = (*where, math.sin(tilt), 0.0, 0.0, math.cos(tilt))
    yield arm.inputs['ee_pose'], pose_stamped(values, stamp_ns, arm.base_frame)


def _image(rgb: UInt8Array, jpeg: bool) -> Any:
    stamped = header(0, '')
    if jpeg:
        data = cv2.imencode('.jpg', rgb)[1]
        return message(JPEG, header=stamped, format='jpeg', data=data)
    height, width, _ = rgb.shape
    return message(
        RAW,
        header=stamped,
        height=height,
        width=width,
        encoding='rgb8',
        is_bigendian=0,
        step=3 * width,
        data=np.ascontiguousarray(rgb).reshape(-1),
    )


def replay(recording: Recording, policy: ChunkPolicy, name: str) -> None:
    """Write a recording, replay it, and print how long that took."""
    with TemporaryDirectory(prefix='robomamba_benchmark_') as folder:
        path = Path(folder) / 'recorded.mcap'
        recording.write(path)
        os.sync()  # else it is still on its way to the disk while the predictions are written
        size_gb = path.stat().st_size / 1e9
        print(f'\n{recording}: {size_gb:.2f} GB, {name}', flush=True)
        arm = recording.contract()
        with (
            PeakMemory(every_s=0.2) as memory,
            Bag(path) as bag,
            BagWriter(Path(folder) / 'predicted.mcap') as writer,
        ):
            predictions = Predictions(writer, arm.base_frame)
            done = Replay(bag, arm, policy, predictions, stopwatch=time.perf_counter)
            gc.freeze()  # as `robomamba replay` does
            begin, begin_cpu = time.perf_counter(), time.process_time()
            done.run()
            seconds, cpu_s = time.perf_counter() - begin, time.process_time() - begin_cpu
    inference_s = sum(done.trace.inference_s)
    for what, taken_s in (('whole', seconds), ('without inference', seconds - inference_s)):
        print(f'  {what:22}{taken_s:8.1f} s{recording.seconds / taken_s:9.1f} x real time')
    # Where other programs ran too, this is the shorter one.
    print(f'  {"of it, processor time":22}{cpu_s:8.1f} s')
    inferences = len(done.trace.inference_s)
    print(f'  {"of it, inference":22}{inference_s:8.1f} s{inferences:9d} inferences')
    for kind, size in memory.sizes.items():
        print(f'  {size / 2**20:12.0f} MiB {kind}')


def circling(camera: CameraSpec) -> ScriptedPolicy:
    """Return a policy that looks at a camera and costs nothing."""
    spec = load_chunk_policy('scripted', LoadOptions()).spec
    return ScriptedPolicy(replace(spec, cameras=(camera,)), (Stroke('ee_dx', 0.1, 3.0),))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog='robomamba bench replay', description='Time replays of recordings on this machine.'
    )
    parser.add_argument('--minutes', type=float, default=10.0, help='length of the large recording')
    parser.add_argument('--raw', action='store_true', help='its images raw instead of JPEG')
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(machine(1))
    camera = load_arm('sawyer_sim').cameras[0].name
    large = CameraSpec(camera, 480, 640)
    rate = 10 if options.raw else 30
    recording = Recording(60.0 * options.minutes, large, rate, not options.raw)
    replay(recording, circling(large), 'a policy that costs nothing')
    policy = load_chunk_policy(SHIPPED, LoadOptions())
    replay(Recording(60.0, policy.spec.cameras[0], 20, False), policy, SHIPPED)
    return 0


if __name__ == '__main__':
    sys.exit(main())

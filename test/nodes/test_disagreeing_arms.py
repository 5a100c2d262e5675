"""Arms that are not where they were told to be, over DDS: each kind of output once.

Simulated time waits for every command, so nothing depends on how fast this machine is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from support.dds_bench import DdsBench, variant

from robomamba_ros.types import EE_DELTA_NAMES, ActionSpace

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

LAG = 'lag_s=0.03,lag_order=2,backlash_rad=0.001'
# The arm, and the kind of its output; the last output is sent to all the time.
KINDS = {
    'joint_trajectory': ('ur5e', None),
    'forward_position': ('so101', [('gripper', 'joint_state'), ('arm', 'forward_position')]),
    'target_pose': ('franka_fr3', [('gripper', 'joint_state'), ('arm', 'target_pose')]),
    'twist': ('franka_panda', [('gripper', 'joint_state'), ('arm', 'twist')]),
}


@pytest.fixture
def bench(peer, tmp_path) -> Iterator[Callable[[str, str], DdsBench]]:
    benches: list[DdsBench] = []

    def start(kind: str, disagree: str) -> DdsBench:
        name, outputs = KINDS[kind]
        path = variant(tmp_path, name, outputs) if outputs else name
        benches.append(DdsBench(peer, path, disagree))
        benches[-1].start()
        return benches[-1]

    yield start
    for each in benches:
        each.host.stop()


def move(driven: DdsBench) -> None:
    """Send a chunk of a second that moves the arm at a fifth of its speed."""
    arm = driven.arm
    if arm.takes_poses:
        way = np.zeros((50, 6))
        way[:, 2] = 0.2 * arm.cartesian.velocity * 0.02
        driven.send(way, EE_DELTA_NAMES, ActionSpace.EE_DELTA)
        return
    speeds = np.array([0.2 * joint.velocity * 0.02 for joint in arm.joints])
    inward = np.array(
        [-1.0 if sum(j.position) < 2.0 * (j.rest or 0.0) else 1.0 for j in arm.joints]
    )
    driven.send(np.tile(inward * speeds, (50, 1)), arm.names_of('arm'), ActionSpace.JOINT_DELTA)


@pytest.mark.parametrize('kind', KINDS)
def test_an_arm_that_lags_is_moved_within_its_limits_and_comes_to_rest(bench, kind) -> None:
    driven = bench(kind, LAG)
    move(driven)
    reach = driven.run(1.0)
    assert max(reach.values()) > 0.01
    driven.run_to_rest()
    driven.check()

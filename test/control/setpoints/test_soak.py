"""The loop for a long time by a virtual clock: nothing grows, and no limit gives way.

ROBOMAMBA_SOAK_S sets the virtual time; an hour takes minutes.
"""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import replace

import numpy as np
from support.made_arms import MADE, write_arm

from robomamba_ros.control.motion.blending import Blending
from robomamba_ros.control.setpoints.setpoint_loop import LoopState, SetpointLoop
from robomamba_ros.robots.arm import Workspace
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import NANOSECONDS, ActionChunk, ActionSpace, RobotState

SOAK_S = float(os.environ.get('ROBOMAMBA_SOAK_S', '45'))
# Longer than what the loop remembers of states and commands.
WARM_UP_S = 15.0
VELOCITY, ACCELERATION = 2.0, 5.0
STEP_NS = 50_000_000


def test_an_hour_of_chunks_and_faults_grows_nothing(tmp_path, record_property) -> None:
    made = MADE['six']
    arm = write_arm(tmp_path, made.document(), made.urdf())
    # A random walk of joints leaves any smaller box.
    arm = replace(arm, workspace=Workspace(np.full(3, -9.0), np.full(3, 9.0)))
    loop = SetpointLoop(arm, blending=Blending(2, None), supervised=False)
    kinematics = Kinematics(arm, made.urdf())
    loop.use_kinematics(kinematics)
    rng = np.random.default_rng(0)
    names = tuple(made.names)
    before = np.array([0.2, -1.2, 1.4, -0.5, -1.3, 0.3]), np.zeros(6)
    blocks, stops, tracked = 0, 0, 0
    for tick in range(round(SOAK_S * arm.control_rate_hz)):
        now_ns = NANOSECONDS + tick * arm.period_ns
        seconds = tick * arm.period_ns / NANOSECONDS
        # Every ten seconds the states fail for half a second, and somebody enables the arm again.
        if seconds % 10.0 < 9.5:
            told = dict(zip(names, before[0].tolist(), strict=True))
            pose = kinematics.forward(before[0])
            loop.update_state(RobotState(now_ns, pose, 0.5, told))
        if loop.status.state in (LoopState.HOLDING, LoopState.DISABLED):
            stops += 1
            loop.enable(True)
        if tick % 20 == 0 and seconds % 10.0 < 9.0:
            way = rng.normal(0.0, 0.02, (50, 6))
            chunk = ActionChunk(now_ns, STEP_NS, way, ActionSpace.JOINT_DELTA, names)
            loop.add_chunk(chunk, now_ns)
        setpoint = loop.tick(now_ns)
        tracked += loop.status.state is LoopState.TRACKING
        if setpoint is not None:
            position = np.array([setpoint.joints[name] for name in names])
            velocity = (position - before[0]) * arm.control_rate_hz
            assert np.abs(velocity).max() <= VELOCITY * (1 + 1e-6)
            change = np.abs(velocity - before[1]).max() * arm.control_rate_hz
            assert change <= ACCELERATION * (1 + 1e-6) + 1e-6
            before = position, velocity
        if tick == round(WARM_UP_S * arm.control_rate_hz):
            gc.collect()
            blocks = sys.getallocatedblocks()
    gc.collect()
    grown = sys.getallocatedblocks() - blocks
    record_property('grown_blocks', grown)
    assert stops >= SOAK_S // 10
    assert tracked > 0.8 * SOAK_S * arm.control_rate_hz
    # Containers of what is remembered swell and shrink a little; a leak of one float a tick would
    # be a hundred blocks of memory a second.
    assert grown < 3 * SOAK_S

"""Drives the arm of a contract in process, within its limits: no ROS.

The setpoint loop follows action chunks. It is told what is measured, and asked for one setpoint
each control period. A fake arm takes the place of yours; time is simulated.
"""

from __future__ import annotations

import numpy as np

import robomamba_ros as rm

LIFT = 0.10  # [m]
STEPS, STEP_NS = 40, 50_000_000


def main() -> None:
    """Lift the hand of the simulated Sawyer by ten centimetres."""
    arm = rm.load_arm('sawyer_sim')
    position = np.array([0.0, 0.6, 0.2])
    upright = np.array([0.0, 0.0, 0.0, 1.0])
    loop = rm.SetpointLoop(arm)
    loop.enable(True)

    for tick in range(240):
        now_ns = tick * arm.period_ns
        loop.update_state(rm.RobotState(now_ns, rm.Pose(position, upright), gripper=1.0))
        if tick == 20:  # measured at rest by now; a policy would ask for it
            actions = np.zeros((STEPS, 3), dtype=np.float32)
            actions[:, 2] = LIFT / STEPS
            names = ('ee_dx', 'ee_dy', 'ee_dz')
            chunk = rm.ActionChunk(now_ns, STEP_NS, actions, rm.ActionSpace.EE_DELTA, names)
            loop.add_chunk(chunk, now_ns)
        setpoint = loop.tick(now_ns)
        if setpoint is not None and setpoint.pose is not None:
            position = setpoint.pose.position  # an arm that does what it is told
        if tick % 40 == 0:
            print(f'{now_ns / 1e9:4.1f} s  z {position[2]:.4f} m  {loop.status.state.value}')


if __name__ == '__main__':
    main()

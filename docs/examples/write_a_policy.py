"""A policy of your own: a class with `spec`, `reset` and `infer`.

It runs in the loops that run the shipped ones. This one sees a camera, and lowers the hand for as
long as the image is dark. To load it by name, see docs/adding_a_policy.md.
"""

from __future__ import annotations

import numpy as np

import robomamba_ros as rm

PERIOD_NS = 50_000_000


class LowerInTheDark:
    """Twenty actions a chunk, of which four are executed."""

    spec = rm.PolicySpec(
        name='lower_in_the_dark',
        cameras=(rm.CameraSpec('corner2', 32, 32),),
        state_names=('ee_z',),
        action_space=rm.ActionSpace.EE_DELTA,
        action_names=('ee_dz',),
        horizon=20,
        dt_ns=PERIOD_NS,
        execute_steps=4,
    )

    def reset(self) -> None:
        """Nothing is remembered from one inference to the next."""

    def infer(self, observation: rm.Observation) -> rm.ActionChunk:
        """Return 5 mm down an action where the image is dark."""
        self.spec.check(observation)
        dark = observation.images['corner2'].mean() < 64
        actions = np.full((20, 1), -0.005 if dark else 0.0, dtype=np.float32)
        spec = self.spec
        return rm.ActionChunk(
            observation.stamp_ns, spec.dt_ns, actions, spec.action_space, spec.action_names
        )


def main() -> None:
    """Run it for a second of simulated time, with a camera that goes dark half-way."""
    policy = LowerInTheDark()
    buffer = rm.observation_buffer(policy.spec, rm.load_arm('sawyer_sim'))
    buffer.set_instruction('go down')
    loop = rm.PolicyLoop(policy, buffer, execute_steps=policy.spec.execute_steps)
    pose = rm.Pose(np.array([0.0, 0.6, 0.2]), np.array([0.0, 0.0, 0.0, 1.0]))
    for tick in range(20):
        now_ns = tick * PERIOD_NS
        buffer.add_state(rm.RobotState(now_ns, pose, gripper=1.0))
        brightness = 200 if tick < 10 else 20
        buffer.add_image('corner2', now_ns, np.full((32, 32, 3), brightness, dtype=np.uint8))
        if loop.due(now_ns):
            chunk = loop.infer(now_ns)
            print(f'{now_ns / 1e9:.2f} s  {chunk.actions[0, 0]:+.3f} m an action')


if __name__ == '__main__':
    main()

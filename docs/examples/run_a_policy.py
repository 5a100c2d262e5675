"""Runs a shipped policy in a loop of your own: no ROS, no simulator.

Here cameras and arm are made up. Fill the observation from yours, and send the actions to it.
"""

from __future__ import annotations

from dataclasses import replace

import robomamba_ros as rm


def main() -> None:
    """Ask for three chunks of actions, as a robot would that executes a part of each."""
    policy = rm.load_policy('anolevla-mt10')
    spec = policy.spec
    print('cameras:', ', '.join(f'{c.name} {c.width} x {c.height}' for c in spec.cameras))
    print('state:', ', '.join(spec.state_names))
    print(f'actions: {spec.horizon} of {spec.dt_ns / 1e6:g} ms,', ', '.join(spec.action_names))

    policy.reset()  # an episode begins
    observation = replace(rm.fake_observation(spec), instruction='open the drawer')
    for _ in range(3):
        chunk = policy.infer(observation)
        print(f'stamp {chunk.stamp_ns / 1e9:.2f} s, first action', chunk.actions[0].round(4))
        # Action i is due at chunk.stamp_ns + i * chunk.dt_ns. Execute some, then look again.
        stamp_ns = chunk.stamp_ns + spec.execute_steps * spec.dt_ns
        observation = replace(observation, stamp_ns=stamp_ns)


if __name__ == '__main__':
    main()

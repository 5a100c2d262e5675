"""An arm that is enabled while its controller wants the joints elsewhere than they are measured.

`python test/support/first_enable.py`, with `src` and `test` on PYTHONPATH, prints the largest share
of any limit that its controller commands, where it says where it wants the joints and where not.
"""

from __future__ import annotations

import numpy as np
from support.bench import FINE_HZ, STEP_NS, Bench
from support.faults import ARMS, inward

from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.following import joint_tolerance
from robomamba_ros.simulation.disagreement import Disagreement
from robomamba_ros.types import NANOSECONDS

# How far its controller wants a held joint, as a share of the following error that is allowed.
FAR = 0.9
# Control periods from the enable to the first chunk.
WAITS = (0, 40)


def pushed(name: str, *, states: bool) -> Bench:
    """Return an arm that 10 N have pulled down from where its controller holds it."""
    hangs = Disagreement(physics='mujoco', load_n=10.0, controller_rate_hz=FINE_HZ)
    bench = Bench(load_arm(name), hangs, enabled=False, states=states)
    bench.run(0.4)
    return bench


def held(name: str, far: float = FAR, *, states: bool = True) -> Bench:
    """Return an arm that is held while somebody, who has left, sent its controller elsewhere."""
    bench = Bench(load_arm(name), enabled=False, states=states)
    bench.fake.blocked.add('arm')
    bench.run(0.2)
    joints = bench.arm.joints_of('arm')
    here = np.array([bench.fake.positions[joint.name] for joint in joints])
    way = far * joint_tolerance(joints) * [inward(joint) for joint in joints]
    bench.fake.trajectories['arm'].hold(bench.fake.now_ns, here + way)
    bench.fake.forget_peaks()
    bench.tick(2)
    return bench


def begin(bench: Bench, wait: int) -> None:
    """Enable, and send a chunk after some control periods."""
    assert bench.enable(), bench.refused
    bench.tick(wait)
    joints = bench.arm.joints_of('arm')
    speeds = np.array([0.3 * joint.velocity * inward(joint) for joint in joints])
    bench.add(np.tile(speeds * STEP_NS / NANOSECONDS, (25, 1)), bench.arm.names_of('arm'))
    assert not bench.refused
    bench.run(0.5)
    # It moved.
    assert bench.worst['velocity'] > 0.05


def main() -> None:
    """Print a row for each arm."""
    print('arm | case | says where it wants the joints | does not say')
    for make, case in ((pushed, 'pushed by 10 N'), (held, 'left elsewhere')):
        for name in ARMS:
            shown = []
            for states in (True, False):
                worst: dict[str, float] = {}
                for wait in WAITS:
                    bench = make(name, states=states)
                    begin(bench, wait)
                    for quantity, peak in bench.fake.peaks['arm'].items():
                        worst[quantity] = max(worst.get(quantity, 0.0), peak.share)
                kinds = ('acceleration', 'jerk')
                shown.append(', '.join(f'{worst[kind]:.2f} {kind}' for kind in kinds))
            print(f'{name} | {case} | {" | ".join(shown)}', flush=True)


if __name__ == '__main__':
    main()

"""A UR5e whose speed slider is moved while it moves: what its own controller does, and what we add.

`python test/support/slider.py`, with `src` and `test` on PYTHONPATH, prints the largest share of
any limit in the update in which the slider moves, and after it. With `--small` it moves by less
than what stops the arm.

Its controller goes on at another speed at once, whoever commands it. What it says of that comes
later, and a trajectory that is sent in the meantime finds it behind where it was taken to be: by
`d`, the speed by which it slowed down times that delay. The quintic to the first point, a time `T`
ahead, makes that up with an additional acceleration of up to 5.8 d / T^2 and jerk of 60 d / T^3.
At a lead of 0.06 s, 5 % of full speed and a delay of 10 ms that is more than the limit of the jerk.
So nothing is sent any more once it is heard, until the arm rests.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
from support.bench import STEP_NS, Bench

from robomamba_ros.control.setpoints.setpoint_loop import LoopState
from robomamba_ros.robots.arm import Workspace, load_arm
from robomamba_ros.simulation.disagreement import Disagreement
from robomamba_ros.types import NANOSECONDS

# UR's controllers are updated 500 times a second, and say how fast they go 100 times.
UPDATES_HZ, PARTS = 500.0, 5
PERIOD_NS = NANOSECONDS // 100
# Derivatives look back by three updates.
STEP_UPDATES = 4
SHARES = (1.0, 0.8, 0.5, 0.2)
# The first joint swings further than the workspace goes.
ROOM = Workspace(np.full(3, -9.0), np.full(3, 9.0))
ARM = load_arm('ur5e')


class SliderBench(Bench):
    """A bench whose slider goes to `share` at slide_ns; late: heard so many periods later.

    step, after: the largest share of each limit as the slider moves, and at any other time.
    crossed: how often a trajectory was sent before it was heard that the slider had moved.
    """

    def __init__(self, seed: int, late: int) -> None:
        self._said: list[float] = []
        self._delay = late
        self.share, self.slide_ns, self._updates = 1.0, 0, 0
        self.step: dict[str, float] = {}
        self.after: dict[str, float] = {}
        self.crossed = 0
        super().__init__(
            ARM,
            Disagreement(controller_rate_hz=UPDATES_HZ),
            seed=seed,
            believed=replace(ARM, workspace=ROOM),
        )
        self._tells = False

    def pass_time(self) -> None:
        """Go on by a period, update by update."""
        for _ in range(PARTS):
            self.tick_ns += self.arm.period_ns // PARTS
            self.now_ns = self.tick_ns
            self.fake.advance(self.now_ns)
            if self._updates:
                self._updates -= 1
                if not self._updates:
                    self.look(self.step)
            if self.fake.speed_scaling != self.share and self.now_ns >= self.slide_ns:
                self.look(self.after)
                self.fake.speed_scaling, self._updates = self.share, STEP_UPDATES

    def look(self, found: dict[str, float]) -> None:
        """Take the peaks into `found`, and begin anew."""
        for name, share in self.worst.items():
            found[name] = max(share, found.get(name, 0.0))
        self.fake.forget_peaks()

    def command(self) -> None:
        """Hear how fast the arm goes, as a node does, and command it."""
        self._said.append(self.fake.scaling)
        heard = None
        if len(self._said) > self._delay:
            heard = self._said.pop(0)
            self.loop.set_speed_scale(heard, self.now_ns)
        before = self.sent['arm']
        super().command()
        if heard != self.fake.scaling:
            self.crossed += self.sent['arm'] - before


def slide(
    pace: float, seed: int, late: int, times: int = 8, shares: tuple[float, ...] = SHARES
) -> SliderBench:
    """Swing the first joint at a share of its speed, moving the slider to `shares` at random."""
    bench = SliderBench(seed, late)
    joint = ARM.joints[0]
    way = pace * joint.velocity * STEP_NS / NANOSECONDS
    for index in range(times):
        if index:
            bench.share = float(bench.random.choice(shares))
            bench.slide_ns = bench.now_ns + int(bench.random.integers(2 * PERIOD_NS))
        for _ in range(3):
            bench.add(np.full((25, 1), way if index % 2 else -way), (joint.name,))
            bench.tick(int(bench.random.integers(5, 12)))
        if bench.state in (LoopState.STOPPING, LoopState.HOLDING):
            assert 'the speed scaling went from' in bench.loop.status.reason
            # Somebody looks, and enables it again.
            while bench.state is LoopState.STOPPING:
                bench.tick()
            bench.run(0.3)
            assert bench.enable(), bench.refused
    bench.look(bench.after)
    return bench


def main(small: bool) -> None:
    """Print a row for each pace and delay."""
    shares = (1.0, 0.9955) if small else SHARES
    print('share of full speed | heard after | sent unheard | as the slider moves | afterwards')
    for pace in (0.02, 0.05, 0.1, 0.3):
        for late in (0, 1):
            benches = [slide(pace, seed, late, shares=shares) for seed in range(6)]
            shown = []
            for when in ('step', 'after'):
                kinds = ('velocity', 'acceleration', 'jerk')
                worst = {k: max(getattr(b, when).get(k, 0.0) for b in benches) for k in kinds}
                shown.append(', '.join(f'{worst[kind]:.2f} {kind}' for kind in kinds))
            crossed = sum(b.crossed for b in benches)
            print(
                f'{pace:.0%} | {10 * late} to {10 * late + 10} ms | {crossed} | '
                f'{" | ".join(shown)}',
                flush=True,
            )


if __name__ == '__main__':
    main('--small' in sys.argv)

"""What an arm may do other than it is told, one after the other, and what comes of each.

`python test/support/faults.py [FAULT ..]`, with `src` and `test` on PYTHONPATH, prints a row for
each fault, arm and kind of controller.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from support.bench import STEP_NS, Bench, commanded_by

from robomamba_ros.control.setpoints.setpoint_loop import LoopState
from robomamba_ros.robots.arm import ArmContract, Workspace, load_arm
from robomamba_ros.robots.parts import Joint, SpeedScaling
from robomamba_ros.simulation.disagreement import Disagreement
from robomamba_ros.simulation.other_commander import command_elsewhere
from robomamba_ros.types import NANOSECONDS, ActionSpace

ARMS = ('franka_fr3', 'franka_panda', 'ur5e', 'hsr', 'so101')
# What the parts of an arm are commanded by. A base has no positions, and poses say nothing of it.
KINDS: dict[str, dict[str, str]] = {
    'joint_trajectory': {},
    'forward_position': {'arm': 'forward_position', 'head': 'forward_position'},
    'target_pose': {'arm': 'target_pose'},
    'twist': {'arm': 'twist'},
}
CELLS = [
    (name, kind)
    for name in ARMS
    for kind in KINDS
    if not (name == 'hsr' and kind in ('target_pose', 'twist'))
]
# Updates of trajectory controllers per second, a part of every control period; ways between two
# points are the storms' business.
UPDATES_HZ = 200.0
# How fast the policy moves the arm, as a share of its limits, and how often it speaks [s].
PACE, CHUNK_S = 0.2, 0.25


# How long a fault lasts that is to be noticed [s].
FAULT_S = 2.0
PERFECT = Disagreement()


@dataclass(frozen=True)
class Fault:
    """A fault: the arm that has it, what begins and ends it, and what it leads to.

    scaled: it is one of a robot that slows the time of its trajectories, and says so; that it does
    so at once is not judged. noticed: whether the loop has to stop for it. held: whether the loop
    can hold the limits; where somebody else commands the arm beside it, only the node can, which
    reads their messages. at_rest: it happens while the arm holds, after a
    chunk ran out. causes: words of which one is in the message.
    """

    options: Disagreement = PERFECT
    begin: Callable[[Bench], None] = lambda bench: None
    end: Callable[[Bench], None] = lambda bench: None
    noticed: bool = True
    held: bool = True
    scaled: bool = False
    at_rest: bool = False
    causes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    noticed_s: after which time the loop stopped following, None if it never did; reason: why, in
    its words. stray: how far a joint was from its command at most [rad or m]. still_s: from when on
    nothing moved and nothing was told to, None if something still does. resumed: whether it
    followed again before somebody enabled it. peaks: the largest share of each limit that was
    commanded since the fault. again: whether it moved once it was enabled anew.
    """

    noticed_s: float | None
    reason: str
    still_s: float | None
    resumed: bool
    peaks: dict[str, float]
    again: bool

    @property
    def worst(self) -> float:
        """The largest share of a limit other than a position."""
        return max(share for name, share in self.peaks.items() if 'position' not in name)


def arm_of(name: str, kind: str) -> ArmContract:
    """Return a shipped arm with a kind of controller."""
    return commanded_by(name, KINDS[kind]) if KINDS[kind] else load_arm(name)


def policy(bench: Bench) -> None:
    """Send a chunk that moves everything for half a second, away from the ends of its range."""
    arm, step_s = bench.arm, STEP_NS / NANOSECONDS
    count = NANOSECONDS // 2 // STEP_NS
    if arm.takes_poses:
        way = PACE * arm.cartesian.velocity * step_s
        bench.add(np.full((count, 1), way), ('ee_dz',), ActionSpace.EE_DELTA)
        return
    speeds = np.array([PACE * joint.velocity * inward(joint) for joint in arm.joints])
    bench.add(np.tile(speeds * step_s, (count, 1)))


def inward(joint: Joint) -> float:
    """Return the direction from where a joint rests to the middle of its range, 1 or -1."""
    return 1.0 if np.nan_to_num(sum(joint.position)) >= 2.0 * (joint.rest or 0.0) else -1.0


class Watch:
    """Runs a bench under a policy that goes on whatever happens, and looks at what comes of it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.noticed_s: float | None = None
        self.still_s: float | None = None
        self.reason, self.resumed = '', False
        self._peaks: dict[str, float] = {}
        self._begun_ns = bench.now_ns
        self._chunk_ns = 0

    def begin(self) -> None:
        """Count from now."""
        self._begun_ns, self.noticed_s, self.still_s = self.bench.now_ns, None, None
        self.reason, self.resumed = '', False

    def keep_peaks(self) -> None:
        """Take the peaks so far, which the arm is about to forget."""
        for peaks in self.bench.fake.peaks.values():
            for quantity, peak in peaks.items():
                self._peaks[quantity] = max(peak.share, self._peaks.get(quantity, 0.0))

    def peaks(self) -> dict[str, float]:
        """Return the largest share of each limit that was commanded."""
        self.keep_peaks()
        return self._peaks

    def run(self, seconds: float, *, speaks: bool = True) -> None:
        """Go on; speaks: whether the policy sends chunks."""
        bench = self.bench
        for _ in range(round(seconds * bench.arm.control_rate_hz)):
            if speaks and bench.now_ns - self._chunk_ns >= CHUNK_S * NANOSECONDS:
                self._chunk_ns = bench.now_ns
                policy(bench)
            before = bench.joints
            bench.tick()
            since_s = (bench.now_ns - self._begun_ns) / NANOSECONDS
            follows = bench.state is LoopState.TRACKING
            if not follows and self.noticed_s is None:
                self.noticed_s, self.reason = since_s, bench.loop.status.reason
            self.resumed = self.resumed or (follows and self.noticed_s is not None)
            moves = np.abs(bench.joints - before).max() > 1e-5
            still = bench.state in (LoopState.HOLDING, LoopState.DISABLED) and not moves
            self.still_s = (since_s if self.still_s is None else self.still_s) if still else None


def happen(name: str, kind: str, fault: Fault, *, tells: bool = True) -> Outcome:
    """Let a fault happen to an arm that moves, or holds, and look at what comes of it.

    tells: whether a robot that says its speed scaling is heard.
    """
    arm = arm_of(name, kind)
    options = replace(fault.options, controller_rate_hz=UPDATES_HZ)
    if kind != 'joint_trajectory' and 'joint_trajectory' not in KINDS[kind].values():
        options = replace(options, controller_rate_hz=arm.control_rate_hz)
    # Joints are moved far to see what comes of it; where the hand then is, is another matter.
    room = Workspace(arm.workspace.lower - 3.0, arm.workspace.upper + 3.0)
    told = SpeedScaling('speed_scaling', 1.0) if fault.scaled else arm.speed_scaling
    arm = replace(arm, speed_scaling=told)
    bench = Bench(arm, options, believed=replace(arm, workspace=room), tells=tells)
    watch = Watch(bench)
    watch.run(0.4)
    if fault.at_rest:
        watch.run(2.4, speaks=False)
    bench.fake.forget_peaks()
    watch.begin()
    fault.begin(bench)
    _settle(watch, fault)
    # While somebody else moves an arm that holds, the policy is silent.
    watch.run(FAULT_S if fault.noticed else 0.7, speaks=not fault.at_rest)
    fault.end(bench)
    _settle(watch, fault)
    # A robot that was paused then comes to the end of what it was sent.
    watch.run(0.8 if fault.scaled else 0.4)
    still_s = watch.still_s
    # Somebody looks, and enables it again where the arm is.
    bench.fake.release()
    bench.fake.activate()
    again = _again(bench, watch) if watch.noticed_s is not None else True
    return Outcome(watch.noticed_s, watch.reason, still_s, watch.resumed, watch.peaks(), again)


def _settle(watch: Watch, fault: Fault) -> None:
    """Go on while a robot changes the time of its trajectories, and forget what that commanded."""
    if fault.scaled:
        watch.keep_peaks()
        watch.run(0.03)
        watch.bench.fake.forget_peaks()


def _again(bench: Bench, watch: Watch) -> bool:
    # The command of one that was slow goes to where it stands for a while.
    for _ in range(10):
        watch.run(0.2, speaks=False)
        if bench.enable():
            break
    else:
        return False
    before, resumed = bench.joints, watch.resumed
    moved = False
    # Some arms take longer to begin.
    for _ in range(3):
        watch.run(0.4)
        moved = bool(np.abs(bench.joints - before).max() > 1e-3)
        if moved:
            break
    watch.resumed = resumed
    return moved


def _hand(bench: Bench) -> None:
    """Free the arm, move its second joint by hand, and switch its controllers on again."""
    bench.fake.deactivate()
    bench.fake.move_by_hand({bench.arm.names_of('arm')[1]: 0.3}, 0.3)


def _push(bench: Bench) -> None:
    joint = bench.arm.joints_of('arm')[1]
    bench.fake.move_by_hand({joint.name: -0.3 * inward(joint)}, 0.4)


def _block(bench: Bench) -> None:
    bench.fake.blocked.update(('arm', 'base', 'head'))


def _free(bench: Bench) -> None:
    bench.fake.blocked.clear()


def _command(bench: Bench, way: float = 0.3, seconds: float = 2.0) -> None:
    """Have somebody else send the arm elsewhere by the controller that we command."""
    command_elsewhere(bench.fake, bench.arm, {bench.arm.names_of('arm')[1]: way}, seconds)


def _command_and_be_read(bench: Bench) -> None:
    """Have somebody else command the arm within its limits, by a message that the node reads."""
    _command(bench, 0.15, 2.0 if bench.arm.name == 'hsr' else 1.0)
    bench.loop.give_way('somebody else sent a trajectory')


def _restart(bench: Bench) -> None:
    bench.fake.deactivate()


def _slow(bench: Bench) -> None:
    bench.fake.speed_scaling = 0.5


def _pause(bench: Bench) -> None:
    bench.fake.speed_scaling = 0.0


def _full(bench: Bench) -> None:
    bench.fake.speed_scaling = 1.0


def _kill(bench: Bench) -> None:
    bench.fake.reports.dead = True


def _revive(bench: Bench) -> None:
    bench.fake.reports.dead = False


GOES_ON = Disagreement(stop_deactivates=False, velocity_share=1.0)
AWAY = ('does not follow',)
# A robot that says its stops is heard first.
STOPPED = (*AWAY, 'the robot says emergency_stop')
FAULTS = {
    'emergency stop': Fault(
        begin=lambda b: b.fake.stop('emergency_stop'),
        end=lambda b: b.fake.release(),
        causes=STOPPED,
    ),
    'emergency stop unnoticed by controllers': Fault(
        GOES_ON,
        begin=lambda b: b.fake.stop('emergency_stop'),
        end=lambda b: b.fake.release(),
        causes=STOPPED,
    ),
    'protective stop': Fault(
        scaled=True,
        begin=lambda b: b.fake.stop('protective_stop'),
        end=lambda b: b.fake.release(),
        causes=('the robot says protective_stop',),
    ),
    'moved by hand while holding': Fault(
        begin=_hand, end=lambda b: b.fake.activate(), at_rest=True, noticed=False
    ),
    'pushed while moving': Fault(GOES_ON, begin=_push, causes=AWAY),
    'commanded by somebody else while holding': Fault(begin=_command, at_rest=True, noticed=False),
    'commanded by somebody else while moving': Fault(
        begin=_command_and_be_read, causes=('somebody else sent a trajectory',)
    ),
    'commanded by somebody else whom nobody reads': Fault(begin=_command, held=False, causes=AWAY),
    'controllers restarted': Fault(begin=_restart, end=lambda b: b.fake.activate(), causes=AWAY),
    'slider at half speed': Fault(
        scaled=True, begin=_slow, end=_full, causes=('speed scaling went from 100 % to 50 %',)
    ),
    'slider at zero': Fault(
        scaled=True, begin=_pause, end=_full, causes=('speed scaling went from 100 % to 0 %',)
    ),
    'slider at half speed before': Fault(
        Disagreement(speed_scaling=0.5), scaled=True, noticed=False
    ),
    'blocked': Fault(GOES_ON, begin=_block, end=_free, causes=AWAY),
    'states repeated with new stamps': Fault(
        Disagreement(restamps=True), begin=_kill, end=_revive, causes=AWAY
    ),
    'slow drives': Fault(Disagreement(velocity_share=0.04), causes=AWAY),
    'lag': Fault(Disagreement(lag_s=0.05), noticed=False),
    'lag of second order, 30 Hz states': Fault(
        Disagreement(lag_s=0.05, lag_order=2, state_rate_hz=30.0, state_latency_s=0.02),
        noticed=False,
    ),
    'friction and backlash': Fault(
        Disagreement(friction_rad=2e-3, backlash_rad=2e-3), noticed=False
    ),
    'masses': Fault(Disagreement(physics='mujoco', load_n=5.0), noticed=False),
    'states in two messages': Fault(Disagreement(split_states=True), noticed=False),
    'wrapped joints, 1000 Hz states': Fault(
        Disagreement(wraps=True, state_rate_hz=1000.0), noticed=False
    ),
}
# Somebody else who streams jumps.
TRAJECTORIES_ONLY = tuple(name for name in FAULTS if 'somebody else' in name)


def applies(fault: str, arm: str, kind: str) -> bool:
    """Tell whether a fault can happen to an arm and a kind of controller."""
    if FAULTS[fault].scaled:
        # A protective stop of others is an emergency stop; sliders have only these.
        return arm == 'ur5e' and kind == 'joint_trajectory'
    if fault == 'slow drives' and kind == 'twist':
        # The stand-in's servo goes on to where the twists led it, which takes a slow arm long.
        return False
    if fault == 'slow drives' and kind == 'target_pose' and arm != 'franka_fr3':
        # Poses move the joints of the others no faster than such drives are.
        return False
    return fault not in TRAJECTORIES_ONLY or kind == 'joint_trajectory'


def main(names: list[str]) -> None:
    """Print a row for each cell of the faults named, or of all."""
    for fault in names or FAULTS:
        for arm, kind in CELLS:
            if applies(fault, arm, kind):
                found = happen(arm, kind, FAULTS[fault])
                noticed = '-' if found.noticed_s is None else f'{found.noticed_s:.2f} s'
                still = '-' if found.still_s is None else f'{found.still_s:.2f} s'
                print(
                    f'{fault} | {arm} | {kind} | {found.worst:.2f} | {noticed} | {still} | '
                    f'{"resumes" if found.resumed else ""} | {"" if found.again else "stays"} | '
                    f'{found.reason[:90]}',
                    flush=True,
                )


if __name__ == '__main__':
    main(sys.argv[1:])

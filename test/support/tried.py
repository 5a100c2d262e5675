"""What once exceeded the limits of an arm, or moved it when nobody expected it, tried again.

`python test/support/tried.py [CASE ..]`, with `src` and `test` on PYTHONPATH, prints a row for each
case and arm: the largest share of a limit of velocity, acceleration or jerk that its controllers
commanded, looked at every millisecond where they take trajectories, and what the loop said.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from support.bench import STEP_NS, Bench
from support.faults import ARMS, Watch, arm_of, inward, policy

from robomamba_ros.control.setpoints.setpoint_loop import LoopState
from robomamba_ros.robots.arm import ArmContract, Workspace, load_arm
from robomamba_ros.robots.controller_settings import problems_of
from robomamba_ros.robots.following import joint_tolerance
from robomamba_ros.simulation.disagreement import Disagreement
from robomamba_ros.types import EE_DELTA_NAMES, NANOSECONDS, ActionSpace

QUANTITIES = ('velocity', 'acceleration', 'jerk')
# Joints are moved far; where the hand then is, is another matter.
ROOM_M = 9.0
# How far joints hang that are held, as a share of the following error that is allowed.
HANG = 0.9


@dataclass(frozen=True)
class Found:
    """What came of a case.

    shares: the largest share of each limit that was commanded, {} where nothing could be. said:
    what the loop, or whoever refused, said. note: what else there is to say.
    """

    shares: dict[str, float]
    said: str = ''
    note: str = ''

    @property
    def worst(self) -> float:
        """The largest share of a limit."""
        return max(self.shares.values(), default=0.0)


def bench_of(name: str, kind: str, disagreement: Disagreement | None = None, **how: bool) -> Bench:
    """Return an arm whose loop knows no workspace."""
    arm = arm_of(name, kind)
    bench = Bench(arm, disagreement, believed=roomy(arm), **how)
    # It starts where it was measured several times.
    bench.tick(3)
    return bench


def roomy(arm: ArmContract) -> ArmContract:
    """Return the arm with a workspace that ends nowhere near."""
    room = np.full(3, ROOM_M)
    return replace(arm, workspace=Workspace(-room, room))


def shares(bench: Bench) -> dict[str, float]:
    """Return the largest share of each limit of motion that was commanded."""
    return {name: bench.worst[name] for name in QUANTITIES if name in bench.worst}


def rest(bench: Bench) -> None:
    """Send a chunk in which every joint stays where it is."""
    bench.add(np.zeros((10, len(bench.names))))


def elsewhere(bench: Bench) -> dict[str, float]:
    """Return a way of the arm's first joints that is far and within their range."""
    joints = bench.arm.joints_of('arm')
    return {
        joint.name: inward(joint) * min(far, 0.3 * float(np.ptp(joint.position)))
        for joint, far in zip(joints[:2], (0.8, 0.5), strict=True)
    }


def moved_while_it_holds(name: str, kind: str) -> Iterator[Found]:
    """Another planner, or a hand, takes an arm that holds elsewhere; the next chunk comes."""
    for resumes in ('chunk', 'enable'):
        bench = bench_of(name, kind)
        policy(bench)
        while bench.state is not LoopState.HOLDING:
            bench.tick()
        bench.fake.deactivate()
        bench.fake.move_by_hand(elsewhere(bench), 0.5)
        bench.run(0.55)
        bench.fake.activate()
        bench.run(0.05)
        bench.fake.forget_peaks()
        policy(bench)
        said = bench.refused
        bench.run(0.3)
        if resumes == 'enable':
            assert bench.enable(), bench.refused
            before = bench.joints
            rest(bench)
            bench.run(0.4)
            said = f'enabled; zeros moved it by {np.abs(bench.joints - before).max():.4f}'
            policy(bench)
            bench.run(0.5)
            assert np.abs(bench.joints - before).max() > 1e-3
        yield Found(shares(bench), said, f'then {resumes}')


def frozen_for_two_seconds(name: str, kind: str) -> Iterator[Found]:
    """An emergency stop that controllers do not notice; after 2 s it is released."""
    for deactivates in (True, False):
        bench = bench_of(name, kind, Disagreement(stop_deactivates=deactivates), tells=False)
        watch = Watch(bench)
        watch.run(0.5)
        watch.begin()
        bench.fake.forget_peaks()
        bench.fake.stop('emergency_stop')
        watch.run(2.0)
        still = bench.joints
        bench.fake.release()
        watch.run(2.0)
        moved = np.abs(bench.joints - still).max()
        noticed = f'noticed after {watch.noticed_s or 0.0:.2f} s, on release moves {moved:.4f}'
        text = 'controllers restart' if deactivates else 'controllers go on'
        yield Found(shares(bench), watch.reason, f'{text}; {noticed}')


def base_blocked(name: str, kind: str) -> Iterator[Found]:
    """The HSR's base stands at a table leg for 8 s while the policy goes ahead; then it is free."""
    bench = bench_of(name, kind, Disagreement(velocity_share=1.0))
    watch = Watch(bench)
    watch.run(1.0)
    watch.begin()
    bench.fake.forget_peaks()
    bench.fake.blocked.add('base')
    watch.run(3.0)
    first = shares(bench)
    bench.fake.forget_peaks()
    watch.run(5.0)
    before = bench.joints[:2]
    bench.fake.blocked.clear()
    watch.run(2.0)
    way = np.linalg.norm(bench.joints[:2] - before)
    told = f'after 3 s told {bench.worst["velocity"]:.3f} of its speed, on release moves {way:.4f}'
    yield Found(first, watch.reason, f'noticed after {watch.noticed_s:.2f} s; {told}')


def slider(name: str, kind: str) -> Iterator[Found]:
    """UR's speed slider at a share from the beginning, and moved to 0 for 2 s."""
    for share in (0.9, 0.8, 0.5, 0.3):
        bench = bench_of(name, kind, Disagreement(speed_scaling=share, controller_rate_hz=500.0))
        watch = Watch(bench)
        watch.run(1.5)
        yield Found(shares(bench), bench.state.value, f'at {share:.0%}')
    bench = bench_of(name, kind, Disagreement(controller_rate_hz=500.0))
    watch = Watch(bench)
    watch.run(0.6)
    for share in (0.0, 1.0):
        bench.fake.speed_scaling = share
        watch.run(0.03)
        # How fast a controller changes its speed is its own affair.
        bench.fake.forget_peaks()
        watch.run(2.0 if not share else 0.6)
    yield Found(shares(bench), bench.state.value, 'at 0 for 2 s, and after')


def protective_stop(name: str, kind: str) -> Iterator[Found]:
    """UR's protective stop for 2 s: its scaled controller stands, and goes on when it ends."""
    bench = bench_of(name, kind, Disagreement(controller_rate_hz=500.0))
    watch = Watch(bench)
    watch.run(0.5)
    watch.begin()
    bench.fake.stop('protective_stop')
    watch.run(0.03)
    bench.fake.forget_peaks()
    watch.run(2.0)
    bench.fake.release()
    watch.run(0.03)
    bench.fake.forget_peaks()
    watch.run(1.0)
    yield Found(shares(bench), watch.reason)


def switched_while_it_holds(name: str, kind: str) -> Iterator[Found]:
    """Controllers are switched off and on within a second after a chunk ran out, as joints hang."""
    for says in (True, False):
        bench = bench_of(name, kind, states=says)
        policy(bench)
        while bench.state is not LoopState.HOLDING:
            bench.tick()
        bench.run(0.3)
        joints = bench.arm.joints_of('arm')
        bench.fake.blocked.add('arm')
        hang = HANG * joint_tolerance(joints) * [inward(joint) for joint in joints]
        wanted = bench.fake.trajectories['arm'].desired[0] + hang
        # As activated where they hang.
        bench.fake.trajectories['arm'].hold(bench.fake.now_ns, wanted)
        bench.fake.blocked.clear()
        bench.tick(3)
        bench.fake.forget_peaks()
        policy(bench)
        said = bench.refused
        bench.run(0.5)
        yield Found(shares(bench), said, 'says what it wants' if says else 'says nothing')


def activated_late(name: str, kind: str) -> Iterator[Found]:
    """Controllers are activated only 3 s after the arm was enabled, which chunks reach."""
    bench = bench_of(name, kind, enabled=False)
    bench.fake.deactivate()
    bench.fake.move_by_hand({key: 0.1 * way for key, way in elsewhere(bench).items()}, 0.3)
    bench.run(0.5)
    bench.enable()
    watch = Watch(bench)
    watch.run(3.0)
    bench.fake.activate()
    bench.fake.forget_peaks()
    watch.run(1.0)
    yield Found(shares(bench), watch.reason or bench.loop.status.reason)


def from_measured(name: str, kind: str) -> Iterator[Found]:
    """A joint_trajectory_controller with its default, that begins where the joints are."""
    arm = load_arm(name)
    output = next(o for o in arm.outputs if o.part == 'arm')
    settings = {'joints': list(arm.names_of('arm')), 'interpolate_from_desired_state': False}
    (problem, *_) = problems_of(output, output.topic, {'/controller': settings}, arm)
    yield Found({}, f'refused: {problem.found}')


def from_desired(name: str, kind: str) -> Iterator[Found]:
    """The same with the setting that is asked for, arms that lag, and real versions' handovers."""
    for version in ('ideal', 'humble', 'jazzy', 'master'):
        for lag_s in (0.02, 0.05):
            options = Disagreement(lag_s=lag_s, controller_version=version)
            bench = bench_of(name, kind, replace(options, controller_rate_hz=1000.0))
            watch = Watch(bench)
            watch.run(2.0)
            yield Found(shares(bench), bench.state.value, f'{version}, {lag_s * 1e3:.0f} ms')


def blocked_under_tolerance(name: str, kind: str) -> Iterator[Found]:
    """A blocked arm under the path tolerance of 0.2 rad with which UR ships its controllers."""
    options = Disagreement(velocity_share=1.0, path_tolerance_rad=0.2)
    bench = bench_of(name, kind, options)
    watch = Watch(bench)
    watch.run(0.5)
    watch.begin()
    bench.fake.blocked.add('arm')
    watch.run(0.03)
    bench.fake.forget_peaks()
    watch.run(2.0)
    done = max(bench.moved[name] for name in QUANTITIES if name in bench.moved)
    still = f'the joints do {done:.2f} of a limit'
    yield Found(shares(bench), watch.reason, f'noticed after {watch.noticed_s:.2f} s; {still}')


def repeated_states(name: str, kind: str) -> Iterator[Found]:
    """The source of the states dies, and a joint_state_publisher repeats them with new stamps."""
    bench = bench_of(name, kind, Disagreement(restamps=True))
    watch = Watch(bench)
    watch.run(0.5)
    watch.begin()
    bench.fake.forget_peaks()
    bench.fake.reports.dead = True
    watch.run(2.0)
    yield Found(shares(bench), watch.reason, f'noticed after {watch.noticed_s or 0.0:.2f} s')


def late_chunk(name: str, kind: str) -> Iterator[Found]:
    """A chunk comes ten minutes after the last one ran out."""
    bench = bench_of(name, kind, Disagreement(controller_rate_hz=load_arm(name).control_rate_hz))
    policy(bench)
    bench.run(2.0)
    before = bench.joints
    for _ in range(600):
        bench.tick_ns += NANOSECONDS - bench.arm.period_ns
        bench.tick()
    bench.run(0.3)
    policy(bench)
    bench.run(0.5)
    moved = np.abs(bench.joints - before).max()
    yield Found(shares(bench), bench.refused, f'moved by {moved:.4f}')


def cameras_die(name: str, kind: str) -> Iterator[Found]:
    """No chunk follows one of 50 steps of 50 or 100 ms of which 10 are to be executed."""
    for step_ns in (50_000_000, 100_000_000):
        bench = bench_of(name, kind)
        speeds = np.array([0.05 * j.velocity * inward(j) for j in bench.arm.joints])
        chunk = np.tile(speeds * step_ns / NANOSECONDS, (50, 1))
        bench.add(chunk, dt_ns=step_ns, execute_steps=10)
        begun_ns = bench.now_ns
        while bench.state is LoopState.TRACKING:
            bench.tick()
        blind_s = (bench.now_ns - begun_ns) / NANOSECONDS
        said = bench.loop.status.reason
        bench.run(2.5)
        note = f'{step_ns // 1_000_000} ms steps: goes on for {blind_s:.2f} s'
        yield Found(shares(bench), said, note)


def joints_out_of_the_box(name: str, kind: str) -> Iterator[Found]:
    """A chunk of joints leads the end effector down and out of its workspace."""
    arm = arm_of(name, kind)
    bench = Bench(arm)
    lift = arm.names_of('arm')[1]
    down = 1.0 if name.startswith(('ur', 'franka', 'so')) else -1.0
    for _ in range(40):
        speed = next(j.velocity for j in arm.joints if j.name == lift)
        bench.add(np.full((50, 1), down * 0.2 * speed * STEP_NS / NANOSECONDS), (lift,))
        bench.run(0.2)
    pose = bench.fake.pose
    assert pose is not None
    outside = np.maximum(arm.workspace.lower - pose.position, pose.position - arm.workspace.upper)
    where = f'z {pose.position[2]:.3f} m, {max(outside.max(), 0.0):.4f} m outside'
    yield Found(shares(bench), bench.loop.status.reason, where)


def into_itself(name: str, kind: str) -> Iterator[Found]:
    """A straight way of the end effector leads the wrist into the arm."""
    bench = Bench(arm_of(name, kind), published=True)
    for _ in range(60):
        bench.add(np.tile([0.003, 0.0, -0.006], (50, 1)), EE_DELTA_NAMES[:3], ActionSpace.EE_DELTA)
        bench.run(0.1)
    yield Found(shares(bench), bench.loop.status.reason)


def turned_base(name: str, kind: str) -> Iterator[Found]:
    """A controller is started anew after the base has turned by 1.5 pi; "stay here" comes."""
    bench = bench_of(name, kind, Disagreement(wraps=True))
    bench.fake.deactivate()
    bench.fake.move_by_hand({'odom_t': 1.5 * np.pi}, 4.0)
    bench.run(4.2)
    bench.fake.activate()
    bench.run(0.3)
    bench.loop.enable(False)
    assert bench.enable(), bench.refused
    bench.fake.forget_peaks()
    before = bench.joints
    rest(bench)
    bench.run(1.0)
    turned = np.abs(bench.joints - before).max()
    yield Found(shares(bench), bench.state.value, f'turned by {turned:.4f} rad')


def out_of_reach(name: str, kind: str) -> Iterator[Found]:
    """A policy pushes beyond what the arm can reach, ten times a second for 10 s."""
    bench = bench_of(name, kind)
    stops, before = 0, bench.state
    away = np.array([0.6, 0.0, 0.3]) * bench.arm.cartesian.velocity * 0.3 * STEP_NS / NANOSECONDS
    for _ in range(100):
        bench.add(np.tile(away, (50, 1)), EE_DELTA_NAMES[:3], ActionSpace.EE_DELTA)
        for _ in range(round(0.1 * bench.arm.control_rate_hz)):
            bench.tick()
            stops += before is LoopState.TRACKING and bench.state is not LoopState.TRACKING
            before = bench.state
    yield Found(shares(bench), bench.loop.status.reason or bench.state.value, f'{stops} stops')


def beyond_belief(name: str, kind: str) -> Iterator[Found]:
    """Steps of 1e30 m, a chunk of 400,000 points, a state of the year 2038."""
    bench = bench_of(name, kind)
    bench.add(np.full((5, 1), 1e30), EE_DELTA_NAMES[:1], ActionSpace.EE_DELTA)
    yield Found(shares(bench), bench.refused, '1e30 m a step')
    bench.add(np.zeros((400_000, 1)), EE_DELTA_NAMES[:1], ActionSpace.EE_DELTA)
    yield Found(shares(bench), bench.refused, '400,000 points')


def enabled_while_it_stops(name: str, kind: str) -> Iterator[Found]:
    """Somebody calls enable again and again while the command of an arm that stands still stops."""
    for held in ('frozen', 'blocked'):
        options = Disagreement(stop_deactivates=False, velocity_share=1.0)
        bench = bench_of(name, kind, options, tells=False)
        watch = Watch(bench)
        watch.run(0.6)
        bench.fake.forget_peaks()
        if held == 'frozen':
            bench.fake.stop('emergency_stop')
        else:
            bench.fake.blocked.update(('arm', 'base', 'head'))
        while bench.state is LoopState.TRACKING:
            watch.run(0.02)
        said = ''
        while not bench.enable():
            said = said or bench.refused
            bench.tick()
        bench.run(0.2)
        bench.fake.release()
        bench.fake.blocked.clear()
        policy(bench)
        bench.run(0.4)
        yield Found(shares(bench), said, held)


def paused_and_stopped(name: str, kind: str) -> Iterator[Found]:
    """A stop while UR's slider is at 0, an enable before it is up again."""
    for how in ('stop', 'reset after it'):
        bench = bench_of(name, kind, Disagreement(controller_rate_hz=500.0))
        watch = Watch(bench)
        watch.run(0.5)
        bench.fake.speed_scaling = 0.0
        watch.run(0.1)
        bench.loop.fault('stopped by ~/stop')
        bench.run(0.3)
        bench.enable()
        said = bench.refused
        if how != 'stop':
            bench.loop.reset()
        bench.fake.speed_scaling = 1.0
        bench.run(0.03)
        bench.fake.forget_peaks()
        bench.run(0.6)
        bench.enable()
        bench.run(0.2)
        policy(bench)
        bench.run(0.4)
        yield Found(shares(bench), said, how)


def stopped_while_it_brakes(name: str, kind: str) -> Iterator[Found]:
    """An emergency stop during the stop of another fault, released before that is over or after."""
    for after_s in (0.02, 0.3, 0.6):
        options = Disagreement(stop_deactivates=False, velocity_share=1.0)
        bench = bench_of(name, kind, options, tells=False)
        watch = Watch(bench)
        watch.run(0.5)
        bench.loop.fault('something is wrong')
        bench.tick()
        bench.fake.forget_peaks()
        bench.fake.stop('emergency_stop')
        watch.run(after_s)
        bench.loop.fault('something else, too')
        bench.fake.release()
        watch.run(0.8)
        assert bench.state is not LoopState.TRACKING
        while not bench.enable():
            bench.tick()
        watch.run(0.3)
        yield Found(shares(bench), '', f'released after {after_s} s')


def instruction_at_the_end(name: str, kind: str) -> Iterator[Found]:
    """A new instruction as a chunk ends, whose first inference takes 3 s."""
    for periods in (-1, 0, 1, 5):
        bench = bench_of(name, kind)
        policy(bench)
        bench.tick(round(0.5 * bench.arm.control_rate_hz) + periods)
        bench.loop.withdraw_chunk('the policy took its chunk back')
        bench.run(3.0)
        policy(bench)
        said = bench.refused
        bench.run(0.4)
        yield Found(shares(bench), said, f'{periods} periods after its end')


TRAJECTORIES, POSITIONS = 'joint_trajectory', 'forward_position'
UR, HSR = ('ur5e',), ('hsr',)
CASES: dict[str, tuple[Callable[[str, str], Iterator[Found]], tuple[str, ...], tuple[str, ...]]] = {
    'moved while it holds': (moved_while_it_holds, ARMS, (TRAJECTORIES, POSITIONS)),
    'frozen for 2 s': (frozen_for_two_seconds, ARMS, (TRAJECTORIES, POSITIONS)),
    'base blocked for 8 s': (base_blocked, HSR, (TRAJECTORIES,)),
    'speed slider': (slider, UR, (TRAJECTORIES,)),
    'protective stop': (protective_stop, UR, (TRAJECTORIES,)),
    'switched while it holds': (switched_while_it_holds, ARMS, (TRAJECTORIES,)),
    'controllers activated late': (activated_late, ARMS, (TRAJECTORIES,)),
    'interpolate_from_desired_state false': (from_measured, ARMS, (TRAJECTORIES,)),
    'interpolate_from_desired_state true': (from_desired, ARMS, (TRAJECTORIES,)),
    'blocked under a tolerance': (blocked_under_tolerance, ARMS, (TRAJECTORIES,)),
    'states repeated': (repeated_states, ARMS, (TRAJECTORIES,)),
    'chunk after ten minutes': (late_chunk, ARMS, (TRAJECTORIES, POSITIONS)),
    'cameras die': (cameras_die, ARMS, (TRAJECTORIES,)),
    'joints out of the workspace': (joints_out_of_the_box, ARMS, (TRAJECTORIES,)),
    'into itself': (into_itself, UR, (TRAJECTORIES,)),
    'base turned by 1.5 pi': (turned_base, HSR, (TRAJECTORIES,)),
    'out of reach': (out_of_reach, ARMS, (TRAJECTORIES,)),
    'enabled while it stops': (enabled_while_it_stops, ARMS, (TRAJECTORIES, POSITIONS)),
    'paused and stopped': (paused_and_stopped, UR, (TRAJECTORIES,)),
    'stopped while it brakes': (stopped_while_it_brakes, ARMS, (TRAJECTORIES, POSITIONS)),
    'instruction at the end': (instruction_at_the_end, ARMS, (TRAJECTORIES,)),
    'beyond belief': (beyond_belief, ARMS, (TRAJECTORIES,)),
}


def main(names: list[str]) -> None:
    """Print a row for each arm of the cases named, or of all."""
    for case in names or CASES:
        run, arms, kinds = CASES[case]
        for arm in arms:
            for kind in kinds:
                for found in run(arm, kind):
                    shown = ', '.join(f'{share:.3f} {name}' for name, share in found.shares.items())
                    print(
                        f'{case} | {arm} | {kind} | {shown} | {found.note} | {found.said}',
                        flush=True,
                    )


if __name__ == '__main__':
    main(sys.argv[1:])

"""FR3 and HSR in physics as robots of ROS 2: the episode of one loop, and a stop in the middle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='a physical robot needs MuJoCo: pip install mujoco')
pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

from robomamba_ros.bringup.graph import PolicyOptions, SimOptions, sim_graph
from robomamba_ros.evaluation.rollout import run_episode
from robomamba_ros.nodes.clients.physical_recorder import recorder_of
from robomamba_ros.nodes.clients.simulated_graph import simulated_graph
from robomamba_ros.policies.base import CameraSpec, PolicySpec
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.simulation.robots.expert import DT_NS
from robomamba_ros.simulation.robots.roster import FR3, HSR, ROBOTS
from robomamba_ros.simulation.robots.table_sim import TableSim
from robomamba_ros.types import ActionChunk, ActionSpace

TASK, SEED, SIZE, STEPS = 'fr3/push', 3, 24, 3
ARM = load_arm('fr3_sim')
CONFIG = f"""policy: anolevla
cameras:
- {{name: front, height: {SIZE}, width: {SIZE}}}
execute_steps: {STEPS}
dt_ns: {DT_NS}
"""


class Chaotic:
    """Goes down and somewhere, by every bit of what it sees."""

    spec = PolicySpec(
        name='chaotic',
        cameras=tuple(CameraSpec(name, SIZE, SIZE) for name in ('front', 'wrist')),
        state_names=FR3.state_names,
        action_space=ActionSpace.EE_DELTA,
        action_names=FR3.action_names,
        horizon=8,
        dt_ns=DT_NS,
        execute_steps=STEPS,
    )

    def reset(self) -> None: ...

    def infer(self, seen: Any) -> ActionChunk:
        bits = [seen.state.tobytes(), seen.previous_state.tobytes(), seen.instruction.encode()]
        bits += [image.tobytes() for _, image in sorted(seen.images.items())]
        rng = np.random.default_rng(list(b''.join(bits)))
        actions = np.zeros((8, 7), np.float32)
        actions[:, :3] = rng.uniform(-0.004, 0.004, 3) - [0.0, 0.0, 0.005]
        actions[:, 5:] = 0.01, rng.choice([0.0, 1.0])
        return ActionChunk(seen.stamp_ns, DT_NS, actions, ActionSpace.EE_DELTA, FR3.action_names)


@pytest.fixture
def specs(monkeypatch, tmp_path):
    monkeypatch.setitem(ROBOTS, 'fr3', replace(FR3, max_s=1.0))
    (tmp_path / 'config.yaml').write_text(CONFIG)
    options = PolicyOptions(str(tmp_path), arm=ARM.name, mode='lockstep', enabled=True)
    return sim_graph(options, SimOptions(TASK))


def test_lockstep_over_topics_is_the_episode_in_one_loop(ros_environment, specs) -> None:
    policy = Chaotic()
    sim = TableSim(TASK, SEED, camera_size=(SIZE, SIZE))
    expected = run_episode(sim, policy, ARM, SEED, execute_steps=STEPS)
    sim.close()
    assert np.ptp(expected.measured, axis=0).max() > 0.02
    recorders = []

    def recorder():
        recorders.append(recorder_of(ARM, specs[1].remappings))
        return recorders[0]

    with simulated_graph(specs, extra=[recorder], load=lambda *_: policy) as runner:
        # The second one shows that nothing of an episode reaches into the next.
        for _ in range(2):
            result = runner.run(TASK, SEED)
            assert (
                (result.success, result.steps) == (expected.success, expected.steps) == (False, 100)
            )
            seen = recorders[0].take(result.begin_ns, result.end_ns)
            np.testing.assert_array_equal(seen.measured, expected.measured)
            # Where its controller wants it is where the loop wanted it, one lead earlier or later.
            np.testing.assert_allclose(seen.commanded[-1], expected.commanded[-1], atol=2e-3)


def test_an_emergency_stop_in_the_middle_ends_at_rest(ros_environment, specs, monkeypatch) -> None:
    robots, stopped_at = [], 40
    follow = TableSim.follow

    def press(sim, *given):
        robots[:] = [sim]
        if sim.steps == stopped_at:
            sim.fake.stop('emergency_stop')
        return follow(sim, *given)

    monkeypatch.setattr(TableSim, 'follow', press)
    with simulated_graph(specs, load=lambda *_: Chaotic()) as runner:
        result = runner.run(TASK, SEED)
    assert (result.success, result.steps) == (False, 100)
    sim = robots[0]
    assert np.abs(sim.world.velocities[:7]).max() < 1e-3
    # What came after the stop was refused: the controller had no say any more.
    assert sim.fake.stopped == 'emergency_stop'


class Driving:
    """Drives ahead and to the side, turns, moves the arm and the head, and shuts the hand."""

    spec = PolicySpec(
        name='driving',
        cameras=(CameraSpec('head', SIZE, SIZE),),
        state_names=HSR.state_names,
        action_space=HSR.actions,
        action_names=HSR.action_names,
        horizon=8,
        dt_ns=DT_NS,
        execute_steps=STEPS,
    )

    def reset(self) -> None: ...

    def infer(self, seen: Any) -> ActionChunk:
        # The further it has come, the more it turns: what is measured counts.
        turn = 0.01 + 0.5 * float(seen.state[HSR.state_names.index('odom_x')])
        step = [0.01, 0.004, turn, 0.005, -0.01, 0.0, -0.02, 0.01, 0.01, -0.01, 0.2]
        actions = np.tile(np.array(step, np.float32), (8, 1))
        return ActionChunk(seen.stamp_ns, DT_NS, actions, HSR.actions, HSR.action_names)


def test_lockstep_of_a_base_is_the_episode_in_one_loop(ros_environment, monkeypatch, tmp_path):
    """But for rounding: the odometry says its heading as a quaternion."""
    monkeypatch.setitem(ROBOTS, 'hsr', replace(HSR, max_s=1.6, slip=0.0))
    (tmp_path / 'config.yaml').write_text(CONFIG.replace('front', 'head'))
    options = PolicyOptions(str(tmp_path), arm=HSR.arm, mode='lockstep', enabled=True)
    specs, arm = sim_graph(options, SimOptions('hsr/push')), load_arm(HSR.arm)
    policy = Driving()
    sim = TableSim('hsr/push', SEED, camera_size=(SIZE, SIZE))
    expected = run_episode(sim, policy, arm, SEED, execute_steps=STEPS)
    assert sim.state(0).gripper < 0.5
    sim.close()
    assert np.ptp(expected.measured, axis=0).max() > 0.05
    recorders = []

    def recorder():
        recorders.append(recorder_of(arm, specs[1].remappings))
        return recorders[0]

    with simulated_graph(specs, extra=[recorder], load=lambda *_: policy) as runner:
        result = runner.run('hsr/push', SEED)
        seen = recorders[0].take(result.begin_ns, result.end_ns)
    assert (result.success, result.steps) == (expected.success, expected.steps) == (False, 80)
    np.testing.assert_allclose(seen.measured, expected.measured, atol=1e-6)
    assert seen.gripper[-1] == pytest.approx(0.2)

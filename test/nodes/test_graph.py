"""The whole graph in one process, over DDS, in both modes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path as PathMessage
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from support.scripted_policies import CAMERA_SIZE, GoTo

from robomamba_ros.bringup.graph import PolicyOptions, SimOptions, sim_graph
from robomamba_ros.errors import CheckpointError, RoboMambaError, SimulationError
from robomamba_ros.evaluation.rollout import run_episode
from robomamba_ros.messages.state import nanoseconds
from robomamba_ros.nodes.clients.episode_runner import EpisodeRunner
from robomamba_ros.nodes.clients.simulated_graph import simulated_graph
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.controller.controller_node import ControllerNode
from robomamba_ros.nodes.policy.policy_node import PolicyNode
from robomamba_ros.nodes.sim.sim_node import SimNode
from robomamba_ros.policies.base import Policy
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.simulation.metaworld import MetaWorldSim

SEED = 11


class Recorder(Node):
    """Keeps every measured pose; hosted in a thread of its own."""

    fatal = ''

    def __init__(self, poses: dict[int, PoseStamped], **options) -> None:
        super().__init__('recorder', **options)
        self._poses = poses
        self.create_subscription(PoseStamped, 'ee_pose', self._on_pose, qos.STATE_LOCKSTEP)

    def _on_pose(self, message: PoseStamped) -> None:
        self._poses[nanoseconds(message.header.stamp)] = message


@pytest.fixture(scope='module')
def sim():
    made = MetaWorldSim('reach', SEED, camera_size=CAMERA_SIZE)
    yield made
    made.close()


@pytest.fixture
def goal(sim) -> np.ndarray:
    sim.reset('reach', SEED)
    return sim.object_positions[3:]


def graph(host, mode: str, policy: GoTo, checkpoint: Path, *others) -> None:
    common = {'arm': 'sawyer_sim', 'mode': mode, 'use_sim_time': True, 'execute_steps': 10}
    sim = {'mode': mode, 'task': 'push', 'seed': 1, 'camera_size': CAMERA_SIZE}
    host(
        (SimNode, {**sim, 'announce_instruction': False}),
        (ControllerNode, common),
        (
            partial(PolicyNode, load=lambda *_: policy),
            {**common, 'checkpoint': str(checkpoint)},
        ),
        *others,
    )


def test_an_episode_that_is_over_is_followed_by_the_next_seed(
    host, peer, goal, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr('robomamba_ros.simulation.metaworld.MAX_STEPS', 25)
    common = {'arm': 'sawyer_sim', 'mode': 'lockstep', 'use_sim_time': True, 'execute_steps': 10}
    sim = {'task': 'push', 'seed': 7, 'camera_size': CAMERA_SIZE, 'endless': True}
    status = peer.record(DiagnosticStatus, 'sim_node/status', qos.LATCHED)
    # The policy comes when the simulation has long been there.
    host((SimNode, {'mode': 'lockstep', **sim}), (ControllerNode, {**common, 'enabled': True}))
    peer.wait_for(lambda: bool(status), 'the simulation')
    policy = partial(PolicyNode, load=lambda *_: GoTo(goal))
    host((policy, {**common, 'checkpoint': str(tmp_path)}))

    def seen() -> list[tuple[str, ...]]:
        values = [{v.key: v.value for v in each.values} for each in status]
        ends = [each for each in values if each['done'] == 'True']
        return sorted({tuple(each[k] for k in ('episode', 'seed', 'step')) for each in ends})

    peer.wait_for(lambda: len(seen()) >= 3, 'three episodes')
    assert seen()[:3] == [('1', '7', '25'), ('2', '8', '25'), ('3', '9', '25')]


def test_lockstep_over_topics_is_the_episode_in_one_loop(host, sim, goal, tmp_path) -> None:
    policy = GoTo(goal)
    expected = run_episode(
        sim, policy, load_arm('sawyer_sim'), SEED, execute_steps=10, instruction='Go there'
    )
    poses: dict[int, PoseStamped] = {}
    graph(host, 'lockstep', policy, tmp_path, (partial(Recorder, poses), {}))
    with EpisodeRunner() as runner:
        # The second one shows that nothing of an episode reaches into the next.
        for _ in range(2):
            poses.clear()
            result = runner.run('reach', SEED, 'Go there')
            assert (result.success, result.steps) == (expected.success, expected.steps)
            measured = [
                [p.pose.position.x, p.pose.position.y, p.pose.position.z]
                for _, p in sorted(poses.items())
            ][-expected.steps - 1 : -1]
            np.testing.assert_allclose(measured, expected.measured, rtol=0, atol=1e-9)
    assert expected.success
    assert np.ptp(expected.measured, axis=0).max() > 0.05
    chunks = -(-result.steps // 10)
    assert result.latencies['observation_to_command_count'] == chunks
    assert result.latencies['inference_count'] == chunks
    assert 0 < result.latencies['inference_p50_ms'] <= result.latencies['inference_p99_ms']


def test_realtime_reaches_the_goal(host, peer, goal, tmp_path) -> None:
    graph(host, 'realtime', GoTo(goal), tmp_path)
    paths = peer.record(PathMessage, 'predicted_path', qos.COMMAND)
    with EpisodeRunner() as runner:
        result = runner.run('reach', SEED)
    assert result.success
    assert result.latencies['observation_to_command_count'] >= 1
    peer.wait_for(lambda: bool(paths), 'a predicted path')
    assert (len(paths[-1].poses), paths[-1].header.frame_id) == (50, 'base')


def test_the_runner_names_what_does_not_answer(host, ros) -> None:
    host((SimNode, {'mode': 'lockstep', 'task': 'reach', 'camera_size': CAMERA_SIZE}))
    with (
        EpisodeRunner(timeout_s=0.5) as runner,
        pytest.raises(SimulationError, match='no answer from the service controller_node/enable'),
    ):
        runner.run('reach', 0)


def test_a_node_that_cannot_load_its_policy_is_not_waited_for(ros_environment) -> None:
    def load(*_: Any) -> Policy:
        raise CheckpointError('the weights are truncated')

    specs = sim_graph(PolicyOptions('hold', mode='lockstep'), SimOptions('reach'))
    with (
        pytest.raises(RoboMambaError, match='the weights are truncated; no answer from'),
        simulated_graph(specs, load=load) as runner,
    ):
        runner.run('reach', 0)


def last_values(received: list[DiagnosticArray], name: str) -> dict[str, str]:
    statuses = [s for message in received for s in message.status if s.name == name]
    return {v.key: v.value for v in statuses[-1].values} if statuses else {}


def test_diagnostics_say_what_each_node_waits_for(host, peer, goal, tmp_path) -> None:
    graph(host, 'lockstep', GoTo(goal), tmp_path)
    received = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    expected = 'instruction: nothing received yet'
    peer.wait_for(
        lambda: (
            last_values(received, 'policy_node').get('reason') == expected
            and 'ee_pose_age_s' in last_values(received, 'controller_node')
        ),
        'diagnostics of both nodes',
    )
    assert last_values(received, 'controller_node')['state'] == 'disabled'


def test_a_new_instruction_is_echoed(host, peer, goal, tmp_path) -> None:
    graph(host, 'lockstep', GoTo(goal), tmp_path)
    active = peer.record(String, 'active_instruction', qos.LATCHED)
    publisher = peer.node.create_publisher(String, 'instruction', qos.LATCHED)
    for text in ('Open a drawer', 'Close it'):
        publisher.publish(String(data=text))
        peer.wait_for(lambda: bool(active) and active[-1].data == text, text)  # noqa: B023


def test_a_disabled_controller_lets_simulated_time_stand_still(host, peer, goal, tmp_path) -> None:
    graph(host, 'lockstep', GoTo(goal), tmp_path)
    poses = peer.record(PoseStamped, 'ee_pose', qos.STATE_LOCKSTEP)
    instruction = peer.node.create_publisher(String, 'instruction', qos.LATCHED)
    instruction.publish(String(data='Go'))

    def enable(data: bool) -> None:
        peer.wait_for(
            lambda: (
                peer.call(SetBool, 'controller_node/enable', SetBool.Request(data=data)).success
            ),
            'controller_node to be active',
        )

    enable(True)
    peer.wait_for(lambda: len({nanoseconds(p.header.stamp) for p in poses}) > 20, '20 steps')
    enable(False)
    peer.call(Trigger, 'controller_node/reset', Trigger.Request())
    seen = len(poses)
    # The first of them may be of steps that were under way.
    peer.wait_for(
        lambda: (
            len(poses) > seen + 3
            and poses[-1].header.stamp == poses[-2].header.stamp == poses[-3].header.stamp
        ),
        'one observation to be repeated',
    )

"""A run of the simulation, recorded from its topics, and replayed without them."""

from __future__ import annotations

import queue
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from support.patience import PATIENCE_S, wait_until

from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.recording import RecordingThread
from robomamba_ros.bags.writer import BagWriter
from robomamba_ros.bringup.graph import (
    BagOptions,
    PolicyOptions,
    SimOptions,
    replay_graph,
    sim_graph,
)
from robomamba_ros.messages.state import nanoseconds
from robomamba_ros.nodes.clients.bag_recorder import BagRecorder
from robomamba_ros.nodes.clients.episode_runner import EpisodeResult
from robomamba_ros.nodes.clients.simulated_graph import simulated_graph
from robomamba_ros.nodes.common.host import Host
from robomamba_ros.nodes.graph import node_factories
from robomamba_ros.policies.registry import load_policy
from robomamba_ros.replay.inputs import needed_topics
from robomamba_ros.replay.predictions import Predictions
from robomamba_ros.replay.run import Replay
from robomamba_ros.robots.arm import load_arm

CHECKPOINT, ARM = 'anolevla-mt10', load_arm('sawyer_sim')
CHUNKS = ('/action_chunk', '/joint_chunk')


def record(folder: Path, mode: str) -> EpisodeResult:
    """Run an episode over topics while it is recorded, from its first message on.

    The simulation has one of its own before, of which more or less is recorded.
    """
    recording = RecordingThread(folder, 'mcap', 1 << 28)
    topics = [*needed_topics(ARM), *CHUNKS]
    recorders: queue.Queue[BagRecorder] = queue.Queue()

    def recorder() -> BagRecorder:
        made = BagRecorder(topics, recording, lambda _: None)
        recorders.put(made)
        return made

    specs = sim_graph(PolicyOptions(CHECKPOINT, mode=mode), SimOptions('reach'))
    with simulated_graph(specs, extra=[recorder]) as runner:
        listening = recorders.get(timeout=PATIENCE_S)
        wait_until(lambda: heard(listening), 'the recorder to hear every topic')
        episode = runner.run('drawer-close', 101)
    recording.close()
    assert (recording.failure, recording.dropped) == ('', {})
    return episode


def heard(recorder: BagRecorder) -> bool:
    """Tell whether nothing that an episode consists of can come too early for the recorder."""
    observed = (*ARM.inputs.values(), *(camera.topic for camera in ARM.cameras), *CHUNKS)
    return {recorder.resolve_topic_name(topic) for topic in observed} <= set(recorder.topics)


def replay(bag_path: Path, output: Path, **options: Any) -> Replay:
    with Bag(bag_path) as bag, BagWriter(output) as writer:
        predictions = Predictions(writer, ARM.base_frame)
        policy = load_policy(CHECKPOINT)
        done = Replay(bag, ARM, policy, predictions, stopwatch=lambda: 0.0, **options)
        done.run()
        return done


def chunks(path: Path) -> dict[tuple[str, int], list[bytes]]:
    """Return the points of every chunk, bit for bit, by topic and stamp [ns]."""
    with Bag(path) as bag:
        return {
            (message.topic, nanoseconds(message.content.header.stamp)): [
                values(point) for point in message.content.points
            ]
            for message in bag.messages(CHUNKS)
        }


def values(point: Any) -> bytes:
    found = list(getattr(point, 'positions', ()))
    for transform in getattr(point, 'transforms', ()):
        move, turn = transform.translation, transform.rotation
        found += [move.x, move.y, move.z, turn.x, turn.y, turn.z, turn.w]
    return np.array(found).tobytes()


# In real time the live policy took the first image after it was enabled: look at every one.
OPTIONS = {'lockstep': {}, 'realtime': {'execute_steps': 1}}


@pytest.fixture(scope='module')
def recorded(
    ros_environment: None, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Path, Path, Replay, EpisodeResult]]:
    """Return the bag of a mode, its predictions and the replay that made them; made once.

    With the episode in it.
    """

    @cache
    def make(mode: str) -> tuple[Path, Path, Replay, EpisodeResult]:
        folder = tmp_path_factory.mktemp(mode)
        bag, predictions = folder / 'bag', folder / 'p.mcap'
        episode = record(bag, mode)
        return bag, predictions, replay(bag, predictions, **OPTIONS[mode]), episode

    return make


@pytest.mark.parametrize('mode', OPTIONS)
def test_a_recorded_run_replays_to_the_same_bytes_and_to_what_was_live(
    recorded, tmp_path, mode
) -> None:
    bag, predictions, done, episode = recorded(mode)
    replay(bag, tmp_path / predictions.name, **OPTIONS[mode])
    assert (tmp_path / predictions.name).read_bytes() == predictions.read_bytes()
    replayed = chunks(predictions)
    # A message without points withdraws what was there, where an instruction came anew.
    live = {
        key: points for key, points in chunks(bag).items() if points and key[1] >= episode.begin_ns
    }
    assert len(live) >= 2 * 4
    assert {len(points) for points in live.values()} == {50}
    same = [replayed.get(key) == points for key, points in live.items()]
    # In real time a state may be lost on its way to the policy and not to the recorder.
    assert all(same) if mode == 'lockstep' else sum(same) >= len(same) / 2
    assert done.trace.problems.count == 0


def test_a_bag_played_to_live_nodes_gives_the_chunks_of_a_replay_and_no_commands(
    recorded, tmp_path
) -> None:
    bag, predictions, *_ = recorded('realtime')
    replayed = chunks(predictions)
    specs = replay_graph(PolicyOptions(CHECKPOINT), BagOptions(str(bag)))
    rclpy.init(args=[])
    try:
        live = RecordingThread(tmp_path / 'live', 'mcap', 1 << 28)
        topics = [*CHUNKS, 'target_pose', 'gripper']
        listener = partial(BagRecorder, topics, live, lambda _: None)
        with Host([listener, *node_factories(specs)]) as host:
            assert host.wait(timeout_s=PATIENCE_S), 'the bag did not come to its end'
        assert host.failures == []
        live.close()
    finally:
        rclpy.shutdown()
    # The policy that was recorded may have had its instruction only after the first images.
    first_ns = min(stamp_ns for _, stamp_ns in replayed)
    live_chunks = chunks(tmp_path / 'live')
    # A message without points withdraws what was there, where an instruction came anew.
    found = {key: points for key, points in live_chunks.items() if key[1] >= first_ns and points}
    assert len(found) >= 2 * 4
    assert found.keys() <= replayed.keys()
    # Topics are best effort, and a new instruction comes between two images.
    same = sum(found[key] == replayed[key] for key in found)
    assert same >= len(found) // 2
    with Bag(tmp_path / 'live') as bag:
        assert set(bag.topics) == set(CHUNKS)

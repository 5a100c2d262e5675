"""Observations are complete, fresh and of one time, or refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.toy_policy import DT, FRONT, SECOND, SPEC, STREAMS, WRIST, empty_buffer, fill, state

from robomamba_ros.control.policy.camera_images import CameraImage, newest_set
from robomamba_ros.control.policy.observation_buffer import ObservationBuffer, observation_buffer
from robomamba_ros.errors import ConfigError, ObservationError
from robomamba_ros.policies.base import CameraSpec
from robomamba_ros.robots.arm import load_arm


def test_the_stamp_is_that_of_the_oldest_image_and_the_state_is_looked_up_there():
    buffer = empty_buffer()
    for step in range(10):
        buffer.add_state(state(SECOND + step * DT, x=0.1 * step))
    buffer.add_image('front', SECOND + 8 * DT, FRONT)
    buffer.add_image('wrist', SECOND + 6 * DT + DT // 2, WRIST)
    observation = buffer.observation(SECOND + 9 * DT)
    assert observation.stamp_ns == SECOND + 6 * DT + DT // 2
    assert observation.state == pytest.approx([0.65, 1.0])
    assert observation.previous_state == pytest.approx([0.55, 1.0])
    assert observation.instruction == 'open the drawer'
    assert observation.images['front'] is FRONT
    assert observation.images['wrist'] is WRIST


def test_the_first_observation_of_an_episode_has_no_change_of_state():
    buffer = empty_buffer()
    fill(buffer, SECOND, x=0.3)
    observation = buffer.observation(SECOND)
    assert observation.state == pytest.approx([0.3, 1.0])
    assert observation.previous_state == pytest.approx([0.3, 1.0])


def test_only_the_newest_image_is_kept_and_only_that_one_is_decoded():
    buffer = empty_buffer()
    fill(buffer, SECOND)
    decoded = []

    def decoder(name):
        def decode():
            decoded.append(name)
            return FRONT

        return decode

    for name, stamp_ns in (('first', 0), ('newest', DT), ('late', -DT)):
        buffer.add_image('front', SECOND + stamp_ns, decoder(name))
    buffer.add_image('wrist', SECOND + DT, WRIST)
    buffer.add_state(state(SECOND + DT))
    buffer.observation(SECOND + DT)
    assert decoded == ['newest']


def test_every_missing_and_late_stream_is_named_with_its_age():
    buffer = ObservationBuffer(SPEC, {'front': 0.5, 'wrist': 0.2}, STREAMS)
    buffer.add_image('front', SECOND, FRONT)
    buffer.add_state(replace(state(SECOND), stamps={'joint_states': SECOND * 3 // 4}))
    with pytest.raises(ObservationError) as raised:
        buffer.observation(SECOND + 300_000_000)
    assert str(raised.value) == (
        'wrist: nothing received yet; '
        'joint_states is late: 0.550 s old, budget 0.100 s; '
        'ee_pose is late: 0.300 s old, budget 0.100 s; '
        'instruction: nothing received yet'
    )


def test_images_ahead_of_the_state_wait_for_it():
    buffer = empty_buffer()
    fill(buffer, SECOND)
    buffer.add_image('front', SECOND + DT, FRONT)
    buffer.add_image('wrist', SECOND + DT, WRIST)
    assert buffer.stamp_ns() is None
    # As for a moment after every image; it is nothing to report.
    assert buffer.problems(SECOND + DT) == ()
    with pytest.raises(ObservationError, match='nothing received since the newest images'):
        buffer.observation(SECOND + DT)
    buffer.add_state(state(SECOND + DT, 0.4))
    assert buffer.stamp_ns() == SECOND + DT
    assert buffer.observation(SECOND + DT).state[0] == pytest.approx(0.4)


def test_states_that_stay_behind_the_images_are_a_problem_though_all_are_fresh():
    buffer = empty_buffer()
    fill(buffer, SECOND)
    for step in range(1, 60):
        now_ns = SECOND + step * DT
        buffer.add_image('front', now_ns, FRONT)
        buffer.add_image('wrist', now_ns, WRIST)
        buffer.add_state(state(now_ns - 1))
        behind = ('joint_states, ee_pose: nothing received since the newest images',)
        assert buffer.problems(now_ns) == (behind if step * DT > SECOND // 2 else ())


def test_clear_forgets_the_episode_but_not_the_instruction():
    buffer = empty_buffer()
    fill(buffer, SECOND, x=0.8)
    buffer.clear()
    assert buffer.stamp_ns() is None
    fill(buffer, SECOND // 2, x=0.1)
    observation = buffer.observation(SECOND // 2)
    assert observation.state[0] == pytest.approx(0.1)
    assert observation.instruction == 'open the drawer'


def test_cameras_that_do_not_fit_the_policy_are_refused():
    with pytest.raises(ConfigError, match=r"'toy' in the arm contract: 'wrist'"):
        ObservationBuffer(SPEC, {'front': 0.5}, STREAMS)
    with pytest.raises(ObservationError, match=r"unknown camera 'frnt'. Did you mean 'front'"):
        empty_buffer().add_image('frnt', SECOND, FRONT)
    buffer = empty_buffer()
    fill(buffer, SECOND)
    buffer.add_image('wrist', SECOND + 1, FRONT)
    buffer.add_image('front', SECOND + 1, FRONT)
    buffer.add_state(state(SECOND + 1))
    with pytest.raises(ObservationError, match=r"camera 'wrist' gives \(4, 6, 3\) uint8"):
        buffer.observation(SECOND + 1)


# Depth

DEEP = replace(SPEC, cameras=(CameraSpec('front', 4, 6, depth=True),))
DEPTH = np.full((4, 6), 1.5, np.float32)
K = np.array([[6.0, 0, 3], [0, 6, 2], [0, 0, 1]])


def deep_buffer():
    buffer = ObservationBuffer(DEEP, {'front': 0.5}, STREAMS)
    buffer.set_instruction('open the drawer')
    return buffer


def test_an_observation_with_depth_needs_depth_of_its_image_and_intrinsics():
    buffer = deep_buffer()
    buffer.add_image('front', SECOND, FRONT)
    buffer.add_state(state(SECOND))
    assert buffer.problems(SECOND) == (
        'front/depth: nothing received yet',
        'front/camera_info: nothing received yet',
    )
    buffer.add_depth('front', SECOND + DT, lambda: DEPTH)
    buffer.set_intrinsics('front', K, (4, 6))
    buffer.add_state(state(SECOND + DT))
    (problem,) = buffer.problems(SECOND + DT)
    assert problem.startswith('front/depth: stamped more than 0.0000 s from every image')
    assert buffer.stamp_ns() is None
    buffer.add_image('front', SECOND + DT, FRONT)
    observation = buffer.observation(SECOND + DT)
    assert observation.stamp_ns == SECOND + DT
    assert observation.depth['front'] is DEPTH
    assert observation.intrinsics['front'] is K


def test_depth_that_no_longer_matches_is_late_though_both_streams_are_fresh():
    buffer = deep_buffer()
    buffer.set_intrinsics('front', K, (4, 6))
    for step in range(60):
        stamp_ns = SECOND + step * DT
        buffer.add_image('front', stamp_ns, FRONT)
        # After ten images the clock of the depth is off by more than half an interval.
        buffer.add_depth('front', stamp_ns - (step > 9) * 10 * DT + (step > 9), DEPTH)
        buffer.add_state(state(stamp_ns))
    (problem,) = buffer.problems(stamp_ns)
    assert problem == (
        'front/depth: stamped more than 0.0063 s from every image; give depth that is taken with '
        'the images'
    )


def test_a_match_that_is_too_old_is_late_though_newer_images_and_depth_are_there():
    buffer = ObservationBuffer(DEEP, {'front': 0.05}, STREAMS)
    buffer.set_instruction('open the drawer')
    buffer.set_intrinsics('front', K, (4, 6))

    def add(image_ms, depth_ms):
        buffer.add_depth('front', SECOND + depth_ms * 1_000_000, DEPTH)
        buffer.add_image('front', SECOND + image_ms * 1_000_000, FRONT)
        buffer.add_state(state(SECOND + image_ms * 1_000_000))
        return buffer.problems(SECOND + image_ms * 1_000_000)

    # After the first, images come in pairs 5 ms apart and depth 7 ms from the nearest of them.
    assert [add(0, 0), add(25, 12), add(30, 37)] == [(), (), ()]
    assert add(50, 37) == ()
    (problem,) = add(55, 62)
    assert problem.startswith('front/depth: stamped more than 0.0025 s from every image')


def test_intrinsics_of_another_size_are_refused():
    buffer = deep_buffer()
    buffer.set_intrinsics('front', K, (480, 640))
    buffer.add_image('front', SECOND, FRONT)
    buffer.add_depth('front', SECOND, DEPTH)
    buffer.add_state(state(SECOND))
    with pytest.raises(
        ObservationError, match=r'camera_info is for images of 640 x 480, the im.*6 x 4'
    ):
        buffer.observation(SECOND)


def test_clear_keeps_the_intrinsics_which_may_be_sent_but_once():
    buffer = deep_buffer()
    buffer.set_intrinsics('front', K, (4, 6))
    buffer.clear()
    buffer.add_image('front', SECOND, FRONT)
    buffer.add_depth('front', SECOND, DEPTH)
    buffer.add_state(state(SECOND))
    assert buffer.observation(SECOND).intrinsics['front'] is K


def test_depth_that_nobody_asked_for_is_refused():
    with pytest.raises(ObservationError, match="unknown camera with depth 'front'"):
        empty_buffer().add_depth('front', SECOND, DEPTH)


def test_the_newest_image_alone_is_had_while_it_is_fresh():
    buffer = deep_buffer()
    with pytest.raises(ObservationError, match='front: nothing received yet'):
        buffer.image('front', SECOND)
    buffer.add_image('front', SECOND, lambda: FRONT)
    assert buffer.image('front', SECOND + DT) is FRONT
    with pytest.raises(ObservationError, match=r'front is late: 1.000 s old, budget 0.500 s'):
        buffer.image('front', 2 * SECOND)
    assert buffer.ages_s(2 * SECOND) == {'front': 1.0}


# The loop


TWO = replace(SPEC, cameras=(CameraSpec('front', 2, 2), CameraSpec('wrist', 2, 2, optional=True)))
MS = 1_000_000


def image(value):
    return np.full((2, 2, 3), value, np.uint8)


def two_cameras(**options):
    buffer = ObservationBuffer(
        TWO, {'front': 0.15, 'wrist': 0.15}, {'joint_states': 0.1}, **options
    )
    buffer.set_instruction('x')
    for i in range(0, 310, 10):
        buffer.add_state(state(SECOND + i * MS, x=i * 1e-3))
    return buffer


def test_images_of_one_time_are_shown_though_one_camera_has_newer_ones():
    buffer = two_cameras()
    buffer.add_image('front', SECOND + 200 * MS, image(1))
    for ms in (170, 210, 250, 290):
        buffer.add_image('wrist', SECOND + ms * MS, image(ms % 256))
    observation = buffer.observation(SECOND + 300 * MS)
    assert observation.stamp_ns == SECOND + 200 * MS
    assert observation.images['wrist'].max() == 210
    assert observation.state[0] == pytest.approx(0.2)


@pytest.mark.parametrize(('skew_s', 'shown'), [(0.04, True), (0.03, False)])
def test_cameras_that_are_never_together_are_named_with_their_distance(skew_s, shown):
    buffer = two_cameras(max_camera_skew_s=skew_s)
    for ms in (100, 180, 260):
        buffer.add_image('front', SECOND + ms * MS, image(1))
        buffer.add_image('wrist', SECOND + (ms - 40) * MS, image(2))
    now_ns = SECOND + 300 * MS
    if shown:
        assert buffer.observation(now_ns).stamp_ns == SECOND + 220 * MS
        return
    assert buffer.problems(now_ns) == (
        'front, wrist: no images of one time; the nearest are 0.040 s apart, max_camera_skew_s is '
        '0.03. Synchronise the cameras, give their latency_s, or raise max_camera_skew_s in the '
        'arm contract',
    )


def test_a_pair_that_is_too_old_is_not_shown_though_both_cameras_are_fresh():
    buffer = two_cameras(max_camera_skew_s=0.005)
    for camera, ms in (('front', 100), ('wrist', 100), ('front', 290), ('wrist', 250)):
        buffer.add_image(camera, SECOND + ms * MS, image(1))
    assert buffer.observation(SECOND + 240 * MS).stamp_ns == SECOND + 100 * MS
    assert 'no images of one time' in buffer.problems(SECOND + 300 * MS)[0]


def test_black_is_shown_for_a_camera_that_arm_and_policy_can_do_without():
    buffer = two_cameras(may_be_absent=['wrist'])
    buffer.add_image('front', SECOND + 200 * MS, image(1))
    observation = buffer.observation(SECOND + 300 * MS)
    assert buffer.absent == ('wrist',)
    assert observation.stamp_ns == SECOND + 200 * MS
    assert not observation.images['wrist'].any()
    # Once it is there its images are shown, and black again when they are of another time.
    buffer.add_image('wrist', SECOND + 190 * MS, image(5))
    assert buffer.absent == ()
    observation = buffer.observation(SECOND + 300 * MS)
    assert observation.images['wrist'].max() == 5
    assert observation.stamp_ns == SECOND + 190 * MS
    buffer.add_image('front', SECOND + 280 * MS, image(2))
    assert buffer.absent == ('wrist',)
    assert buffer.observation(SECOND + 300 * MS).stamp_ns == SECOND + 280 * MS


@pytest.mark.parametrize('may_be_absent', [[], ['wrist']])
def test_a_camera_that_either_needs_is_waited_for(may_be_absent):
    needed = replace(TWO, cameras=tuple(replace(c, optional=False) for c in TWO.cameras))
    spec = needed if may_be_absent else TWO
    buffer = ObservationBuffer(
        spec, {'front': 0.15, 'wrist': 0.15}, {'joint_states': 0.1}, may_be_absent=may_be_absent
    )
    buffer.set_instruction('x')
    buffer.add_image('front', SECOND, image(1))
    buffer.add_state(state(SECOND))
    assert buffer.problems(SECOND) == ('wrist: nothing received yet',)


def test_the_arm_contract_says_which_cameras_may_be_absent_and_how_far_apart_images_are():
    hand = CameraSpec('hand', 2, 2, optional=True)
    spec = replace(SPEC, cameras=(CameraSpec('head', 2, 2), hand))
    buffer = observation_buffer(spec, replace(load_arm('hsr'), max_camera_skew_s=0.02))
    assert buffer.absent == ('hand',)
    buffer.add_state(state(SECOND))
    buffer.add_image('head', SECOND, image(1))
    assert buffer.stamp_ns() == SECOND
    buffer.add_image('hand', SECOND - 21 * MS, image(1))
    assert buffer.absent == ('hand',)


def test_of_three_cameras_those_on_one_side_go_together_where_the_nearest_do_not():
    def seen(*stamps_ms: int) -> list[CameraImage]:
        image = np.zeros((1, 1, 3), np.uint8)
        return [CameraImage(stamp_ms * 1_000_000, image) for stamp_ms in stamps_ms]

    cameras = {'left': seen(100), 'front': seen(135, 70), 'right': seen(130)}
    found = newest_set(cameras, {}, 50_000_000)
    assert {name: image.stamp_ns // 1_000_000 for name, image in found.items()} == {
        'left': 100,
        'front': 135,
        'right': 130,
    }
    assert newest_set(cameras, {}, 34_000_000) is None

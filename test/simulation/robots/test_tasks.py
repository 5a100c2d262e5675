"""The tasks at a table: scenes that are said rightly, and rules that nobody passes by luck."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='a physical robot needs MuJoCo: pip install mujoco')
pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

from robomamba_ros.errors import SimulationError
from robomamba_ros.simulation.joint_trajectory import JointTrajectory, TrajectoryPoint
from robomamba_ros.simulation.robots.arrangement import APART_M
from robomamba_ros.simulation.robots.furniture import DRAWER_JOINT, PUMP_JOINT
from robomamba_ros.simulation.robots.table_sim import TableSim
from robomamba_ros.simulation.robots.tasks import MOVE_M, TASKS
from robomamba_ros.types import NANOSECONDS, Pose, Setpoint

MOVING = ['fr3/move', 'fr3/pick', 'fr3/push']


def scenes(name, count=60):
    return [TASKS[name].draw(np.random.default_rng(seed)) for seed in range(count)]


@pytest.fixture(scope='module')
def sim():
    return TableSim('fr3/pick', 0)


@pytest.mark.parametrize('name', ['fr3/pick', 'fr3/move'])
def test_the_words_name_one_thing_of_the_scene(name):
    forms = set()
    for scene in scenes(name):
        target = scene.thing(scene.target)
        words = scene.instruction.split()
        alike = [t for t in scene.things if t.kind == target.kind]
        assert target.kind in words
        if 'on' in words:
            # The one on the left is further along y, which is left of who looks along x.
            left = words[words.index('on') + 2] == 'left'
            others = [t.y for t in alike if t is not target]
            assert others
            assert all(target.y > y if left else target.y < y for y in others)
            forms.add('side')
        elif target.color in words:
            assert [t for t in alike if t.color == target.color] == [target]
            forms.add('color')
        else:
            assert alike == [target]
            forms.add('kind')
    assert forms == {'side', 'color', 'kind'}


@pytest.mark.parametrize('name', MOVING)
def test_things_stand_apart(name):
    for scene in scenes(name):
        places = [np.array([t.x, t.y]) for t in scene.things]
        if scene.fixture is not None:
            places.append(np.array([scene.fixture.x, scene.fixture.y]))
        for number, place in enumerate(places):
            assert all(np.linalg.norm(place - other) > APART_M for other in places[:number])


def test_an_episode_follows_from_its_seed(sim):
    def look():
        sim.reset('fr3/pick', 7)
        return sim.instruction, sim.world.data.qpos.copy()

    first = look()
    sim.reset('fr3/push', 3)
    again = look()
    assert first[0] == again[0]
    np.testing.assert_array_equal(first[1], again[1])
    sim.reset('fr3/pick', 8)
    assert not np.array_equal(sim.world.data.qpos[:7], first[1][:7])


def test_an_unknown_task_is_refused_with_those_there_are(sim):
    with pytest.raises(SimulationError, match=r"'fr3/pik'.*fr3/pick"):
        sim.reset('fr3/pik', 0)
    with pytest.raises(SimulationError, match=r"task of the FR3 'hsr/pick'.*fr3/pick"):
        sim.reset('hsr/pick', 0)


def flail(rng, here, wide, names):
    """Return a trajectory to somewhere near, as a policy that learnt nothing gives."""
    there = here + rng.uniform(-wide, wide, len(names))
    still = np.zeros(len(names))
    points = (TrajectoryPoint(NANOSECONDS // 2, there, still, still),)
    return JointTrajectory(0, names, points)


@pytest.fixture(scope='module')
def driving():
    return TableSim('hsr/pick', 0)


def test_a_base_has_to_move_for_its_hand_to_reach_anything(driving):
    """From where it begins: the arm alone comes 0.83 m far, with its hand at the end of it."""
    reach = 0.141 + 0.345 + 0.1405 + 0.2
    for name in [each for each in TASKS if each.startswith('hsr/')]:
        for scene in scenes(name, 30):
            x, y = (
                scene.fixture.handle(scene.fixture.moved)[:2]
                if scene.fixture
                else scene.thing(scene.target).place[:2]
            )
            assert np.hypot(x - scene.start[0], y - scene.start[1]) > reach - 0.04, name


def test_what_is_seen_from_a_base_that_slips_is_where_its_hand_finds_it(driving):
    sim = driving
    sim.reset('hsr/pick', 3)
    twist = {'base': np.array([0.15, 0.05, 0.2])}
    for _ in range(60):
        sim.follow(None, {}, twist)
    tip, state = sim.world.data.body('hand_palm_link'), sim.state(0)
    hand = sim.as_seen(Pose(np.array(tip.xpos), np.array(tip.xquat)[[1, 2, 3, 0]]))
    np.testing.assert_allclose(hand.position, state.pose.position, atol=1e-6)
    # It has come less far than its wheels say, by up to 2 %.
    base = sim.world.data.body('base_footprint').xpos[:2] - sim.scene.start[:2]
    told = np.array([state.joints['odom_x'], state.joints['odom_y']])
    assert np.linalg.norm(told) > 0.15
    assert 0.98 <= np.linalg.norm(base) / np.linalg.norm(told) < 1.0


@pytest.mark.parametrize('name', TASKS)
@pytest.mark.parametrize('policy', ['still', 'random'])
def test_neither_stillness_nor_chance_does_a_task(sim, driving, name, policy):
    rng = np.random.default_rng(5)
    sim = sim if name.startswith('fr3/') else driving
    sim.reset(name, 11)
    names = sim.arm.names_of('arm')
    begin = np.array([sim.state(0).joints[joint] for joint in names])
    twists = {}
    seconds = 0.6 if policy == 'still' else 1.8
    for step in range(round(seconds * sim.arm.control_rate_hz)):
        ways = {}
        if policy == 'random' and step % 30 == 0:
            ways['arm'] = flail(rng, begin, 0.25, names)
            if sim.robot.base:
                twists['base'] = rng.uniform(-0.2, 0.2, 3)
        setpoint = Setpoint(0, None, float(rng.integers(2))) if ways else None
        sim.follow(setpoint, ways, twists)
        assert not sim.success


def put(sim, joint, to):
    sim.world.data.joint(joint).qpos[0] = to


@pytest.mark.parametrize(
    ('name', 'joint', 'short', 'enough'),
    [('fr3/open', DRAWER_JOINT, 0.09, 0.13), ('fr3/close', DRAWER_JOINT, 0.03, 0.004)],
)
def test_a_drawer_has_to_be_open_or_shut_for_a_while(sim, name, joint, short, enough):
    sim.reset(name, 0)
    put(sim, joint, short)
    for _ in range(60):
        sim.follow(None, {})
    assert not sim.success
    put(sim, joint, enough)
    sim.follow(None, {})
    assert not sim.success
    for _ in range(40):
        if not sim.done:
            sim.follow(None, {})
    assert sim.success


def test_a_pump_counts_only_where_fingers_press_it(sim):
    sim.reset('fr3/push', 0)
    for _ in range(30):
        put(sim, PUMP_JOINT, 0.024)
        sim.follow(None, {})
    assert not sim.success


def test_what_is_moved_has_to_stand_where_it_was_to_go(sim):
    """Put there by nobody it counts; on its side, the other way or beside the line it does not."""
    sim.reset('fr3/move', 1)
    target = sim.scene.target
    place = sim.world.model.joint(sim.world.model.body(target).jntadr[0]).qposadr[0]
    begin = sim.world.data.qpos[place : place + 7].copy()
    rule = TASKS['fr3/move'].holds

    def holds(way):
        import mujoco

        sim.world.data.qpos[place : place + 7] = begin
        sim.world.data.qpos[place : place + 3] += way
        sim.world.data.qvel[:] = 0.0
        mujoco.mj_forward(sim.world.model, sim.world.data)
        return rule(sim.scene, sim.look)

    shift = sim.scene.shift
    assert np.linalg.norm(shift) == pytest.approx(MOVE_M)
    assert holds(shift)
    assert not holds(-shift)
    assert not holds(0.5 * shift)
    assert not holds(shift + np.array([0.08, 0.0, 0.0]))
    assert not holds(shift + np.array([0.0, 0.0, 0.05]))

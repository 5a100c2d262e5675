"""The tasks at a table: scenes that are said rightly, and rules that nobody passes by luck."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='a physical robot needs MuJoCo: pip install mujoco')
pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

from robomamba_ros.errors import SimulationError
from robomamba_ros.simulation.joint_trajectory import JointTrajectory, TrajectoryPoint
from robomamba_ros.simulation.robots.arrangement import APART_M
from robomamba_ros.simulation.robots.franka import ARM_JOINTS
from robomamba_ros.simulation.robots.furniture import DRAWER_JOINT, PUMP_JOINT
from robomamba_ros.simulation.robots.table_sim import TableSim
from robomamba_ros.simulation.robots.tasks import MOVE_M, TASKS
from robomamba_ros.types import NANOSECONDS, Setpoint

MOVING = [name for name in TASKS if name not in ('fr3/open', 'fr3/close')]


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


def flail(rng, here, wide):
    """Return a trajectory to somewhere near, as a policy that learnt nothing gives."""
    there = here + rng.uniform(-wide, wide, 7)
    still = np.zeros(7)
    points = (TrajectoryPoint(NANOSECONDS // 2, there, still, still),)
    return JointTrajectory(0, ARM_JOINTS, points)


@pytest.mark.parametrize('name', TASKS)
@pytest.mark.parametrize('policy', ['still', 'random'])
def test_neither_stillness_nor_chance_does_a_task(sim, name, policy):
    rng = np.random.default_rng(5)
    sim.reset(name, 11)
    names = list(ARM_JOINTS)
    begin = np.array([sim.state(0).joints[joint] for joint in names])
    for step in range(60 if policy == 'still' else 180):
        ways = {}
        if policy == 'random' and step % 30 == 0:
            ways['arm'] = flail(rng, begin, 0.25)
        sim.follow(Setpoint(0, None, float(rng.integers(2))) if ways else None, ways)
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

"""Perturbations: each changes what it says, by its size, and follows from the seed."""

import numpy as np
import pytest

pytest.importorskip('torch', reason='the policy extra is not installed')
pytest.importorskip('metaworld', reason='the simulation extra is not installed')

from robomamba_ros.errors import ConfigError
from robomamba_ros.evaluation.metaworld import Outcome
from robomamba_ros.evaluation.perturbations import (
    NONE,
    PERTURBATIONS,
    Perturbation,
    choose_perturbations,
)
from robomamba_ros.evaluation.success import perturbation_table
from robomamba_ros.simulation.metaworld import MetaWorldSim
from robomamba_ros.simulation.scene_changes import THING_X_M, SceneChange, draw_things

SIZE = 64


@pytest.fixture(scope='module')
def sim():
    sim = MetaWorldSim('reach', 3, camera_size=SIZE)
    yield sim
    sim.close()


def test_names_are_chosen_once_and_with_what_they_are_compared_to():
    assert choose_perturbations(()) == (NONE,)
    assert choose_perturbations(('blur', 'darker', 'blur')) == (NONE, 'darker', 'blur')
    assert choose_perturbations(('all',)) == tuple(PERTURBATIONS)
    with pytest.raises(ConfigError, match=r"'darkr'\. Did you mean 'darker'"):
        choose_perturbations(('darkr',))


def test_images_change_by_their_size_and_the_same_way_again(sim):
    image = np.random.default_rng(0).integers(60, 190, (SIZE, SIZE, 3)).astype(np.uint8)
    changed = {}
    for name, each in PERTURBATIONS.items():
        view = each.prepare(sim, 7)
        assert (view is None) == (each.image is None), name
        if view is not None:
            changed[name] = first = view(image)
            assert not np.array_equal(first, image), name
            assert np.array_equal(each.prepare(sim, 7)(image), first), name
            assert np.array_equal(view(image), first) == (name != 'noise'), name
    sim.alter(SceneChange())
    difference = {name: each.astype(float) - image for name, each in changed.items()}
    assert difference['darker'].mean() == pytest.approx(-25.5, abs=0.5)
    assert difference['noise'].std() == pytest.approx(8.0, abs=0.5)
    np.testing.assert_allclose(
        (changed['warm_light'] / image).mean((0, 1)), [1.1, 1, 0.9], atol=0.01
    )
    moved = [
        np.abs(np.roll(image, (y, x), (0, 1)) - changed['shift'].astype(float))[8:-8, 8:-8].max()
        for x in (-4, 4)
        for y in (-4, 4)
    ]
    assert sorted(moved)[0] == 0.0


def test_the_scene_changes_from_the_next_episode_on_and_back(sim):
    point = np.array([[0.0, 0.6, 0.1]])

    def seen(change):
        change.prepare(sim, 5)
        sim.reset(None, 3)
        return sim.project(point)[0], sim.render().astype(float)

    pixel, image = seen(Perturbation())
    there, moved = seen(PERTURBATIONS['camera_moved'])
    assert 0.3 < np.linalg.norm(there - pixel) < 8.0
    turned, _ = seen(PERTURBATIONS['camera_turned'])
    assert 0.1 < np.linalg.norm(turned - pixel) < 4.0
    same, tinted = seen(PERTURBATIONS['table'])
    np.testing.assert_allclose(same, pixel)
    assert (tinted[..., 0] - image[..., 0]).mean() < -5.0
    assert np.abs(tinted[..., 2] - image[..., 2]).mean() < 3.0
    assert np.abs(moved - image).mean() > 1.0
    same, cluttered = seen(PERTURBATIONS['distractors'])
    np.testing.assert_allclose(same, pixel)
    changed = (np.abs(cluttered - image).max(axis=2) > 20).mean()
    assert 0.002 < changed < 0.1
    sim.alter(SceneChange())
    back, again = seen(Perturbation())
    np.testing.assert_array_equal(back, pixel)
    np.testing.assert_array_equal(again, image)


def test_the_hand_begins_elsewhere_and_things_lie_beside_what_the_task_uses(sim):
    begun = []
    for change in (Perturbation(), PERTURBATIONS['start_pose'], Perturbation()):
        sim.alter(SceneChange())
        change.prepare(sim, 5)
        sim.reset(None, 3)
        begun.append((sim.state(0).pose.position, sim.object_positions))
    (first, objects), (there, same), (back, _) = begun
    np.testing.assert_allclose(np.abs(there - first), 0.04, atol=0.005)
    assert there[2] > first[2]
    np.testing.assert_array_equal(objects, same)
    np.testing.assert_array_equal(first, back)
    things = draw_things(np.random.default_rng(0), 4)
    assert [np.sign(thing.place[0]) for thing in things] == [1, -1, 1, -1]
    assert all(THING_X_M[0] <= abs(thing.place[0]) <= THING_X_M[1] for thing in things)


def test_the_mean_is_that_of_what_changes_anything():
    def outcomes(successes):
        return [Outcome('reach', n, n < successes, 10, 1.0) for n in range(10)]

    table = perturbation_table({NONE: outcomes(10), 'blur': outcomes(4), 'noise': outcomes(8)})
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in table.splitlines()]
    assert rows[2][:3] == ['none', '10/10', '100.0 %']
    assert rows[3][:3] == ['blur', '4/10', '40.0 %']
    assert rows[5][:3] == ['**mean of perturbations**', '', '**60.0 %**']

"""Live nodes get the box of the task that they are to do."""

import pytest

from robomamba_ros.robots.arm import load_arm

pytest.importorskip('metaworld', reason='the simulation extra is not installed')

from robomamba_ros.simulation.task_contract import task_contract


def test_differs_from_the_arms_contract_in_the_box_alone(tmp_path):
    known, copied = (
        load_arm('sawyer_sim'),
        load_arm(task_contract('sawyer_sim', 'lever-pull', tmp_path)),
    )
    assert known.workspace.lower[2] == pytest.approx(0.05)
    assert copied.workspace.lower[2] == pytest.approx(-0.15)
    assert copied.cartesian == known.cartesian
    assert copied.outputs == known.outputs


def test_tasks_with_the_same_box_share_a_contract(tmp_path):
    first = task_contract('sawyer_sim', 'push', tmp_path)
    assert task_contract('sawyer_sim', 'reach', tmp_path) == first
    assert task_contract('sawyer_sim', 'stick-pull', tmp_path) != first

"""What a joint_trajectory_controller says of itself, in the messages of each release."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from robomamba_ros.messages.controller_state import reference_of


def point(positions, velocities=(), accelerations=()):
    return SimpleNamespace(positions=positions, velocities=velocities, accelerations=accelerations)


def test_joints_are_read_by_name_in_whatever_order_the_controller_has():
    wanted = point([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], [0.01, 0.02, 0.03])
    message = SimpleNamespace(joint_names=['c', 'a', 'b'], reference=wanted)
    state = reference_of(message, ('a', 'b', 'c'))
    assert state.tolist() == [[2.0, 3.0, 1.0], [0.2, 0.3, 0.1], [0.02, 0.03, 0.01]]
    # An output that moves fewer joints than its controller has.
    assert reference_of(message, ('b',)).tolist() == [[3.0], [0.3], [0.03]]


def test_humble_says_it_twice_and_older_releases_by_another_name():
    both = SimpleNamespace(joint_names=['a'], reference=point([1.0]), desired=point([2.0]))
    assert reference_of(both, ('a',)).tolist() == [[1.0], [0.0], [0.0]]
    older = SimpleNamespace(joint_names=['a'], desired=point([2.0]))
    assert reference_of(older, ('a',))[0].tolist() == [2.0]


@pytest.mark.parametrize(
    ('names', 'wanted'),
    [
        (['b'], point([1.0])),
        (['a'], point([])),
        (['a'], point([np.nan])),
        (['a'], point([1.0], [0.0, 0.0])),
        (['a', 'b'], point([1.0])),
    ],
)
def test_a_message_that_does_not_say_it_says_nothing(names, wanted):
    assert reference_of(SimpleNamespace(joint_names=names, reference=wanted), ('a',)) is None

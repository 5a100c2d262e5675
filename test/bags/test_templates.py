"""Messages filled into a template are, byte for byte, those that rosbags writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robomamba_ros.bags.templates import Template
from robomamba_ros.bags.types import standard_types
from robomamba_ros.bags.writer import message
from robomamba_ros.types import NANOSECONDS

TYPE = 'trajectory_msgs/msg/JointTrajectory'
LATEST_NS = (2**31 - 1) * NANOSECONDS + 999_999_999
NUMBERS = st.floats(allow_nan=False)


def trajectory(frame: str, names: Sequence[str], stamp_ns: int, reals: np.ndarray) -> Any:
    """Return a message of positions and accelerations (2, H, n), after texts of any length."""

    def time(kind: str, time_ns: int) -> Any:
        seconds, rest = divmod(time_ns, NANOSECONDS)
        return message(f'builtin_interfaces/msg/{kind}', sec=seconds, nanosec=rest)

    points = [
        message(
            'trajectory_msgs/msg/JointTrajectoryPoint',
            positions=positions,
            velocities=np.zeros(0),
            accelerations=accelerations,
            effort=np.zeros(0),
            time_from_start=time('Duration', 12_500_000),
        )
        for positions, accelerations in zip(*reals, strict=True)
    ]
    stamped = message('std_msgs/msg/Header', stamp=time('Time', stamp_ns), frame_id=frame)
    return message(TYPE, header=stamped, joint_names=list(names), points=points)


@settings(deadline=None, max_examples=50)
@given(
    frame=st.text(max_size=9),
    names=st.lists(st.text(max_size=5), max_size=3),
    stamps=st.lists(st.integers(0, LATEST_NS), min_size=2, max_size=2),
    data=st.data(),
)
def test_a_filled_template_is_what_rosbags_writes(frame, names, stamps, data):
    shape = (2, data.draw(st.integers(0, 4)), len(names))

    def build(times_ns, reals):
        return trajectory(frame, names, times_ns[0], reals.reshape(shape))

    template = Template(TYPE, build, 1, math.prod(shape))
    # Twice: nothing of the first is left in the second.
    for stamp_ns in stamps:
        reals = data.draw(arrays(np.float64, shape, elements=NUMBERS))
        expected = standard_types().serialize_cdr(build([stamp_ns], reals), TYPE)
        assert template.fill([stamp_ns], reals) == expected


def test_a_number_that_is_given_and_not_written_is_an_error():
    def forgets(times_ns, reals):
        return trajectory('base', ['j'], 0, reals.reshape(2, 1, 1))

    with pytest.raises(ValueError, match='subsection not found'):
        Template(TYPE, forgets, 1, 2)

"""Ranges of the numbers in an arm contract, which real arms fit and typing errors do not."""

from __future__ import annotations

from collections.abc import Sequence

from robomamba_ros.common.config_file import Range, Section
from robomamba_ros.robots.parts import Output

CONTROL_RATE = Range(1.0, 2000.0, 'Hz', 'one setpoint is computed in each period')
# Of a joint or of the end effector, in m or rad.
VELOCITY = Range(1e-3, 100.0, 'rad/s or m/s', 'no arm is slower or faster')
ACCELERATION = Range(1e-2, 1e4, 'rad/s^2 or m/s^2', 'no arm is slower or faster')
JERK = Range(1e-1, 1e7, 'rad/s^3 or m/s^3', 'a smaller one would take seconds to begin a stop')
# Within the precision of the sums that the limits are computed with.
POSITION = Range(-1e4, 1e4, 'rad or m', 'no joint goes further; write .inf for one without an end')
GRIPPER = Range(-1e4, 1e4, 'rad or m', 'no gripper opens further')
LENGTH = Range(-1e4, 1e4, 'm', 'no arm reaches further')
# The watchdog: how long the arm moves on without seeing.
BUDGET = Range(1e-3, 60.0, 's', 'the arm moves on for as long without its input')
LEAD = Range(1e-3, 2.0, 's', 'nothing changes before the lead is over, a stop neither')
EFFORT = Range(1e-3, 1e4, 'N or Nm', 'no gripper is weaker or stronger')
MARGIN = Range(0.0, 0.5, 'm', 'no link keeps further away from another')
SKEW = Range(1e-4, 10.0, 's', 'an observation is of one time')
LATENCY = Range(-1.0, 1.0, 's', 'no camera is later; correct the clock of one that is')

# Of the section `cartesian`.
SPEEDS = {
    'velocity': VELOCITY,
    'acceleration': ACCELERATION,
    'stop_deceleration': ACCELERATION,
    'rotation_velocity': VELOCITY,
    'rotation_acceleration': ACCELERATION,
    'rotation_stop_deceleration': ACCELERATION,
}
JERKS = {'jerk': JERK, 'rotation_jerk': JERK}

LONGEST_STOP_S = 30.0
# The gripper's opening is a share of the way between its two positions [rad or m].
SHORTEST_GRIP = 1e-4

# The graph's own topics, which an arm's outputs would disturb.
OWN_TOPICS = (
    'action_chunk',
    'joint_chunk',
    'pose_target',
    'predicted_path',
    'instruction',
    'active_instruction',
    'question',
    'answer',
    'markers',
    'diagnostics',
    'clock',
    'parameter_events',
    'rosout',
)


def check_stop(
    section: Section, prefix: str, velocity: float, deceleration: float, jerk: float | None
) -> None:
    """Note a velocity from which the arm could not stop in time: v / a, and a / j to begin."""
    time_s = velocity / deceleration + (deceleration / jerk if jerk else 0.0)
    if section.clean and time_s > LONGEST_STOP_S:
        found = f'{velocity:g}, from which a stop would take {time_s:.0f} s'
        section.error(f'{prefix}velocity', found, f'one that stops within {LONGEST_STOP_S:g} s')


def check_topics(root: Section, outputs: Sequence[Output], inputs: Sequence[str]) -> None:
    """Note outputs that go to a topic of the `inputs` or of the nodes themselves."""
    taken = {topic.removeprefix('/'): 'an input of the arm' for topic in inputs}
    taken |= dict.fromkeys(OWN_TOPICS, 'a topic of the nodes')
    for index, output in enumerate(outputs):
        use = taken.get(output.topic.removeprefix('/'))
        if use is not None:
            found = f"'{output.topic}', {use}"
            root.error(f'outputs[{index}].topic', found, 'the topic of a controller')

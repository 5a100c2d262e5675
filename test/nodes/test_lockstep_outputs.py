"""What a base and a hand are told in lockstep: of every period something, again where lost."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from robomamba_ros.control.setpoints.senders import Command, TwistSender
from robomamba_ros.messages.state import nanoseconds
from robomamba_ros.nodes.controller.outputs.grippers import GripperTrajectory
from robomamba_ros.nodes.controller.outputs.twists import TwistOutput
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import Setpoint

ARM = load_arm('hsr_sim')
PERIOD_NS = ARM.period_ns


class Bench:
    """An output in lockstep, and what it publishes: stamps in periods, and messages."""

    def __init__(self, kind, part):
        self.period, self.sent = 0, []
        publisher = SimpleNamespace(publish=self.sent.append)
        node = SimpleNamespace(create_publisher=lambda *_: publisher)
        self.output = kind(node, ARM, ARM.output(part), lambda: self.period * PERIOD_NS)

    def say(self, period, command=None):
        """Return the message of a period."""
        self.period = period
        before = len(self.sent)
        if command is None:
            self.output.stop()
        else:
            self.output.send(command)
        assert len(self.sent) == before + 1
        message = self.sent[-1]
        assert nanoseconds(message.header.stamp) == period * PERIOD_NS
        return message


def command(period, opening=1.0):
    """Return that of a base that gets faster."""
    joints = {joint.name: 0.0 for joint in ARM.joints}
    speed = 0.002 * period
    joints['odom_x'] = 0.5 * speed * period * PERIOD_NS * 1e-9
    speeds = {**dict.fromkeys(joints, 0.0), 'odom_x': speed}
    setpoint = Setpoint(period * PERIOD_NS, None, opening, joints, speeds)
    return Command(setpoint, None, tracking=True, trajectory=None)


def test_a_base_is_told_its_twist_and_where_nothing_is_commanded_none():
    bench, alone = Bench(TwistOutput, 'base'), TwistSender(ARM, ARM.output('base'))
    assert bench.say(1).twist == bench.say(1).twist == bench.say(2).twist
    assert bench.sent[-1].twist.linear.x == 0.0
    for period in range(3, 8):
        told = bench.say(period, command(period))
        # Said again it is the same, and what follows is as if it had been said once.
        assert bench.say(period, command(period)) == told
        assert told.twist.linear.x == alone.send(command(period))[0]
    assert told.twist.linear.x > 0.0


def test_a_hand_is_told_what_changes_and_that_nothing_does():
    bench = Bench(GripperTrajectory, 'gripper')
    assert not bench.say(1).points
    assert not bench.say(2, command(2)).points
    told = bench.say(3, command(3, 0.2))
    assert np.allclose(told.points[0].positions, ARM.gripper.position(0.2))
    assert bench.say(3, command(3, 0.2)) == told
    assert not bench.say(4, command(4, 0.2)).points
    assert not bench.say(5).points

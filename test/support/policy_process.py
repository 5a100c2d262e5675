"""Runs a policy node whose policy drifts along x, in a process of its own."""

import sys

from support.scripted_policies import Drift

from robomamba_ros.nodes.common.host import run
from robomamba_ros.nodes.policy.policy_node import PolicyNode

sys.exit(run([lambda: PolicyNode(load=lambda *_: Drift())], sys.argv))

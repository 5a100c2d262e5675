"""Runs a policy node whose policy drifts along x, in a process of its own."""

import sys

from scripted_policies import Drift

from robomamba_ros.nodes.host import run
from robomamba_ros.nodes.policy_node import PolicyNode

sys.exit(run([lambda: PolicyNode(load=lambda *_: Drift())], sys.argv))

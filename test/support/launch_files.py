"""The launch files, with the nodes that arguments of them mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robomamba_ros.bringup.graph import NodeSpec
from robomamba_ros.bringup.options import POLICY_ARGUMENTS, REPLAY_ARGUMENTS, SIM_ARGUMENTS, graph

FOLDER = Path(__file__).parents[2] / 'launch'
ARGUMENTS = {
    'policy.launch.py': POLICY_ARGUMENTS,
    'sim.launch.py': SIM_ARGUMENTS,
    'replay.launch.py': REPLAY_ARGUMENTS,
}
# Launch file, what is written on its command line beside policy:=hold, and what that means.
CASES: Sequence[tuple[str, dict[str, str], dict[str, Any]]] = (
    (
        'policy.launch.py',
        {'arm': 'ur5e', 'dry_run': 'true', 'instruction': '3', 'namespace': 'left'},
        {'arm': 'ur5e', 'dry_run': True, 'instruction': '3', 'namespace': 'left'},
    ),
    (
        'policy.launch.py',
        {'arm': 'franka_fr3', 'fake': 'true', 'instruction': 'put "it": down, [now] #1'},
        {'arm': 'franka_fr3', 'fake': True, 'instruction': 'put "it": down, [now] #1'},
    ),
    ('sim.launch.py', {'mode': 'lockstep', 'seed': '3'}, {'mode': 'lockstep', 'seed': 3}),
    (
        'sim.launch.py',
        {'robot': 'franka_fr3', 'task': 'open'},
        {'robot': '', 'task': 'fr3/open', 'arm': 'fr3_sim'},
    ),
    (
        'replay.launch.py',
        {'bag': 'drawer', 'rate': '0.5', 'instruction': 'true'},
        {'bag': 'drawer', 'rate': 0.5, 'instruction': 'true'},
    ),
)


def nodes(file: str, **values: Any) -> tuple[NodeSpec, ...]:
    """Return the graph of a launch file with policy:=hold and `values`, its defaults otherwise."""
    defaults = {each.name: each.default for each in ARGUMENTS[file]}
    return graph(defaults | {'policy': 'hold'} | values)

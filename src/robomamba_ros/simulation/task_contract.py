"""The contract of the simulated arm for one task of Meta-World, as a file that nodes read."""

from __future__ import annotations

from pathlib import Path

import yaml

from robomamba_ros.common.documents import read_yaml
from robomamba_ros.common.resources import find_file
from robomamba_ros.simulation.metaworld import MetaWorldSim


def task_contract(arm: str, task: str, folder: Path) -> str:
    """Return the path of a copy of an arm contract with the workspace of a task.

    Tasks with the same workspace share the copy. Raises SimulationError for an unknown task.
    """
    sim = MetaWorldSim(task, 0)
    box = sim.workspace
    sim.close()
    document, _ = read_yaml(find_file('arms', arm))
    document['workspace'] = {
        'lower': [round(float(value), 6) for value in box.lower],
        'upper': [round(float(value), 6) for value in box.upper],
    }
    text = yaml.safe_dump(document, sort_keys=False)
    for known in sorted(folder.glob('*.yaml')):
        if known.read_text(encoding='utf-8') == text:
            return str(known)
    path = folder / f'{arm}_{task}.yaml'
    path.write_text(text, encoding='utf-8')
    return str(path)

"""Every simulated task by name: Meta-World's, and those of other robots as `robot/task`."""

from __future__ import annotations

from collections.abc import Mapping

from robomamba_ros.simulation.metaworld import MetaWorldSim
from robomamba_ros.simulation.robots.roster import ROBOTS as PHYSICAL
from robomamba_ros.simulation.robots.roster import robot_with
from robomamba_ros.simulation.robots.table_sim import TableSim
from robomamba_ros.simulation.robots.tasks import TASKS
from robomamba_ros.simulation.simulation import Simulation
from robomamba_ros.simulation.tasks import Task, known_tasks

SAWYER = 'sawyer'
# Every robot, by its name and by what it is called; those in physics by that of their tasks.
TITLES = {SAWYER: 'Meta-World', **{robot.name: robot.title for robot in PHYSICAL.values()}}
# Of images, where a policy says nothing [px].
_SIDE = 224


def all_tasks() -> dict[str, Task]:
    """Return every task by name. Those whose words change with the scene have no instruction."""
    return {**known_tasks(), **{name: Task(name, '', robot_with(name).name) for name in TASKS}}


def robot_of(task: str) -> str:
    """Return the robot that does a task, one of TITLES."""
    return robot_with(task).name if task in TASKS else SAWYER


def arm_of(task: str) -> str:
    """Return the name of the arm contract of the robot that does a task."""
    return robot_with(task).arm if task in TASKS else 'sawyer_sim'


def make_simulation(
    task: str, seed: int, sizes: Mapping[str, tuple[int, int]] | None = None
) -> Simulation:
    """Return the simulation of a task, at the episode of a seed.

    sizes: height and width of the images by camera [px]; all cameras of one robot give the largest.
    Raises SimulationError for an unknown task.
    """
    given = sizes or {}
    if task in TASKS:
        cameras = robot_with(task).cameras
        own = [given[name] for name in cameras if name in given] or [(_SIDE, _SIDE)]
        height, width = (max(size[side] for size in own) for side in (0, 1))
        return TableSim(task, seed, camera_size=(height, width))
    side = max((size[0] for size in given.values()), default=_SIDE)
    return MetaWorldSim(task, seed, camera_size=side)

"""Trials that one image cannot solve: a cue, a delay, and a lamp that says when to go.

They are delayed responses, as memory is tested in animals (Funahashi et al. 1989). The cue, the
marker of a goal or a button that glows, is seen in the first CUE_STEPS control periods. The hand
must then rest until the upper lamp goes out and the lower one comes on. The delay is longer than a
chunk of HORIZON actions, so that no chunk that was inferred from the cue reaches beyond it. Who has
seen no cue has three buttons to choose from, or a goal anywhere in a box.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from robomamba_ros.simulation.tasks import Task
from robomamba_ros.types import Float64Array

# Control periods in which the cue is seen, and before the lamp says go: drawn from the latter two.
CUE_STEPS = 10
FIRST_GO, LAST_GO = 60, 100
# How far the hand may move before that [m].
REST_M = 0.03
LAMPS = {'wait': ((0.2, 0.4, 0.16), (0.1, 0.3, 1.0)), 'go': ((0.2, 0.4, 0.08), (0.1, 0.8, 0.1))}
DARK, CAP, GLOW = (0.15, 0.15, 0.15), (0.5, 0.0, 0.0), (1.0, 1.0, 0.3)
# The buttons' places [m], about which they vary together by BUTTON_SPREAD_M.
BUTTONS = ((-0.12, 0.82), (0.03, 0.82), (0.18, 0.82))
BUTTON_SPREAD_M = (0.02, 0.03)
CAP_HEIGHT_M, PRESSED_M = 0.1, 0.012
# The hand is above a button within this distance; before, it goes ABOVE_M over it.
NEAR_M, ABOVE_M = 0.02, 0.1


def environment(base: Any, task: Task) -> Any:
    """Return an environment of a class of Meta-World, with the lamps and buttons of a task."""
    import mujoco

    class Scene(base):
        def _initialize_simulation(self) -> tuple[Any, Any]:
            spec = mujoco.MjSpec.from_file(self.fullpath)
            for name, (place, _) in LAMPS.items():
                spec.worldbody.add_site(name=name, pos=place, size=(0.025, 0.0, 0.0))
            for number in range(len(BUTTONS)) if has_buttons(task) else ():
                _add_button(mujoco, spec.worldbody, f'button{number}')
            model = spec.compile()
            sizes = model.vis.global_
            sizes.offwidth = max(sizes.offwidth, self.width)
            sizes.offheight = max(sizes.offheight, self.height)
            return model, mujoco.MjData(model)

    return Scene()


def has_buttons(task: Task) -> bool:
    """Return whether a task is about buttons, instead of the goal of its base."""
    return task.name == 'button-lit'


class Trial:
    """One episode of a memory task, in an environment that was just reset.

    go: the control period from which on the hand may move; a function of the seed.
    """

    def __init__(self, task: Task, env: Any, seed: int) -> None:
        rng = np.random.default_rng((seed, *task.name.encode()))
        self._env, self._failed = env, False
        self._moves_object = task.base != 'reach'
        self.go = int(rng.integers(FIRST_GO, LAST_GO + 1))
        self._lit = -1
        if has_buttons(task):
            # Of three episodes that follow one another each has another button.
            order = np.random.default_rng(seed // len(BUTTONS)).permutation(len(BUTTONS))
            self._lit = int(order[seed % len(BUTTONS)])
            offset = rng.uniform(-1.0, 1.0, 2) * BUTTON_SPREAD_M
            for number, place in enumerate(BUTTONS):
                env.model.body(f'button{number}').pos[:2] = np.array(place) + offset
            env._target_pos = np.array([*env.model.body(self._name).pos[:2], CAP_HEIGHT_M])
        self._start = np.array(env.tcp_center)
        self.show(0)

    @property
    def _name(self) -> str:
        return f'button{self._lit}'

    def lamp(self, steps: int) -> Float64Array | None:
        """Return where the lamp is that is on (3,) [m]; None in a task that moves an object."""
        return None if self._moves_object else np.array(LAMPS[self._on(steps)][0])

    def _on(self, steps: int) -> str:
        return 'wait' if steps < self.go else 'go'

    def show(self, steps: int) -> None:
        """Let the scene look as it does after a number of control periods."""
        model, cue = self._env.model, shows_cue(steps)
        on = self._on(steps)
        for name, (_, color) in LAMPS.items():
            model.site(name).rgba[:3] = color if name == on else DARK
            model.site(name).rgba[3] = 1.0
        model.site('goal').rgba[3] = float(cue and self._lit < 0)
        for number in range(len(BUTTONS)) if self._lit >= 0 else ():
            glows = cue and number == self._lit
            model.geom(f'button{number}').rgba[:3] = GLOW if glows else CAP

    def judge(self, steps: int, solved: bool) -> bool:
        """Return whether the task is done after a number of control periods.

        solved: whether the task that it is made of is. Who moved too early, or pressed another
        button, has failed for good.
        """
        moved = float(np.linalg.norm(self._env.tcp_center - self._start))
        self._failed |= steps <= self.go and moved > REST_M
        if self._lit >= 0:
            pressed = [
                number
                for number in range(len(BUTTONS))
                if self._env.data.joint(f'button{number}').qpos[0] < -PRESSED_M
            ]
            self._failed |= any(number != self._lit for number in pressed)
            solved = self._lit in pressed
        return solved and steps > self.go and not self._failed

    def act(self, steps: int, hand: Float64Array, expert: Float64Array) -> Float64Array:
        """Return the expert's action (4,): its base's, or to the button; at rest before the go.

        hand: (3,) [m].
        """
        if self._lit >= 0:
            target = np.array(self._env._target_pos)
            if np.linalg.norm(hand[:2] - target[:2]) > NEAR_M:
                target[2] += ABOVE_M
            expert = np.array([*(10.0 * (target - hand)), 1.0])
        return expert if steps >= self.go else np.array([0.0, 0.0, 0.0, expert[3]])


def shows_cue(steps: int) -> bool:
    """Return whether the cue is seen after a number of control periods."""
    return steps < CUE_STEPS


def _add_button(mujoco: Any, world: Any, name: str) -> None:
    """Add a button that springs back: a box of 6 cm, and a cap that goes down by 2 cm."""
    body = world.add_body(name=name)
    box, cylinder = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
    body.add_geom(type=box, size=(0.05, 0.05, 0.03), pos=(0.0, 0.0, 0.03), rgba=(*DARK, 1.0))
    center = (0.0, 0.0, CAP_HEIGHT_M - 0.02)
    inertia = {'mass': 0.05, 'inertia': (1e-4,) * 3, 'ipos': center, 'explicitinertial': True}
    cap = body.add_body(name=f'{name}_cap', **inertia)
    cap.add_joint(
        name=name,
        type=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=(0.0, 0.0, 1.0),
        range=(-0.02, 0.0),
        limited=True,
        stiffness=30.0,
        damping=3.0,
        armature=0.001,
    )
    cap.add_geom(name=name, type=cylinder, size=(0.035, 0.02, 0.0), pos=center, rgba=(*CAP, 1.0))

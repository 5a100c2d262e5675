"""The Meta-World Sawyer: a 7-joint arm over a table in MuJoCo, moved by end-effector targets.

The benchmark's protocol (80 Hz, camera `corner2` at a fixed place, 4 action channels, 500 steps) is
kept; this module only puts metres, openings in 0..1 and reproducible seeds around it. All calls of
one simulation come from one thread: the rendering context belongs to it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from robomamba_ros.errors import SimulationError, unknown_name
from robomamba_ros.robots.parts import Workspace
from robomamba_ros.simulation.joint_trajectory import JointTrajectory
from robomamba_ros.simulation.memory_trial import Trial, environment, shows_cue
from robomamba_ros.simulation.robots.cameras import off_screen
from robomamba_ros.simulation.scene_changes import SceneChange, Scenery
from robomamba_ros.simulation.simulation import NO_TWISTS
from robomamba_ros.simulation.tasks import MEMORY, known_tasks
from robomamba_ros.types import (
    NANOSECONDS,
    Float32Array,
    Float64Array,
    Pose,
    RobotState,
    Setpoint,
    UInt8Array,
)

DT_NS = NANOSECONDS // 80
CAMERA = 'corner2'
CAMERA_POSITION = (0.75, 0.075, 0.7)
MAX_STEPS = 500
# One action of size 1 moves the target by this much along an axis [m].
STEP_M = 0.01
# Commands nearer to where the hand is [m] hold it; a controller without a policy gives them.
_HELD_M = 1e-3


class MetaWorldSim:
    """One Sawyer in one task. Raises SimulationError on an unknown task or without rendering."""

    dt_ns = DT_NS
    cameras = (CAMERA,)
    # metaworld/assets/objects/assets/xyz_base.xml.
    view_angles: ClassVar[Mapping[str, float]] = {CAMERA: 60.0}
    # Its hand is pulled to a pose: nobody needs to know its bones.
    urdf = None
    joint_names = tuple(f'right_j{i}' for i in range(7))

    def __init__(self, task: str, seed: int, *, camera_size: int = 224) -> None:
        os.environ.setdefault('MUJOCO_GL', 'egl')
        # Imported here because metaworld reads MUJOCO_GL at import and takes seconds to load.
        try:
            import mujoco
            from metaworld.env_dict import ALL_V3_ENVIRONMENTS
            from metaworld.policies import ENV_POLICY_MAP
        except ImportError as error:
            raise SimulationError(
                f"the simulation needs the package '{error.name}': pip install 'robomamba_ros[sim]'"
            ) from error
        self._mujoco = mujoco
        self._environments = ALL_V3_ENVIRONMENTS
        self._experts: Any = ENV_POLICY_MAP
        self._camera_size = camera_size
        self._tasks = known_tasks()
        self._renderer: Any = None
        self._env: Any = None
        self._trial: Trial | None = None
        self.task = ''
        self.reset(task, seed)

    def reset(self, task: str | None, seed: int) -> None:
        """Start a new episode of `task` (None: the same); the seed fixes the objects' places."""
        name = self.task if task is None else task
        if name not in self._tasks:
            raise SimulationError(unknown_name('Meta-World task', name, self._tasks))
        if name != self.task:
            self._make_environment(name)
        self._env.seed(seed)
        self._env.reset()
        if self._tasks[name].group == MEMORY:
            self._trial = Trial(self._tasks[name], self._env, seed)
        # The benchmark's reset moves bodies and the goal marker in the model only: without this
        # the first image and observation still show them where the last episode had them.
        self._mujoco.mj_forward(self._env.model, self._env.data)
        observation = self._env._get_obs()
        observation[18:36] = observation[:18]
        self._env_observation = observation
        self.seed = seed
        self.steps = 0
        self.success = False

    def _make_environment(self, name: str) -> None:
        self.close()
        task = self._tasks[name]
        kind = self._environments[f'{task.base}-v3']
        env = environment(kind, task) if task.group == MEMORY else kind()
        # The scripted expert sees a zero goal under partial observability, whose observation
        # space is cached by the constructor; and only `seeded_rand_vec` obeys `seed()`.
        env._partially_observable = False
        del env.sawyer_observation_space
        env._freeze_rand_vec = False
        env.seeded_rand_vec = True
        env._set_task_called = True
        # Software rendering: multisampling, shadows and reflections cost 8 x the time.
        env.model.vis.quality.offsamples = 0
        self._env = env
        self._scenery = Scenery(self._mujoco, env, CAMERA, np.array(CAMERA_POSITION))
        self._trial = None
        self._expert = self._experts[f'{task.base}-v3']()
        self.task = name

    def alter(self, change: SceneChange) -> None:
        """Make the scene differ from the benchmark's, instead of as it was altered before.

        Holds from the next reset on, until another task begins.
        """
        self._scenery.change(change)

    @property
    def workspace(self) -> Workspace:
        """The box in which the task keeps its targets, base axes [m]; nine tasks have their own."""
        lower, upper = self._env.mocap_low, self._env.mocap_high
        return Workspace(lower.astype(np.float64), upper.astype(np.float64))

    def step(self, target_position: Float64Array, gripper_opening: float) -> None:
        """Advance 12.5 ms towards a target.

        target_position: (3,) base axes [m]; a target further than 0.01 m per axis from the last
        is approached by 0.01 m, as the benchmark's action limits say. gripper_opening: 0..1.
        """
        delta = (np.asarray(target_position, dtype=np.float64) - self.target_position) / STEP_M
        self.step_action(np.array([*delta, 1.0 - 2.0 * gripper_opening]))

    def follow(
        self,
        setpoint: Setpoint | None,
        ways: Mapping[str, JointTrajectory],
        twists: Mapping[str, Float64Array] = NO_TWISTS,
    ) -> None:
        """Advance 12.5 ms towards a setpoint; None: to where it goes already, with open fingers.

        ways, twists: trajectories and velocities by part, of which this arm takes none.
        """
        target = self.target_position
        if setpoint is not None and setpoint.pose is not None:
            target = setpoint.pose.position
        self.step(target, 1.0 if setpoint is None else setpoint.gripper)

    def rest(self) -> None:
        """Do nothing: a hand that nobody pulls stands still."""

    def told_to_move(self, setpoint: Setpoint | None) -> bool:
        """Tell whether a setpoint pulls the hand away from where it is."""
        if setpoint is None or setpoint.pose is None:
            return False
        here = self.state(0).pose.position
        return bool(np.linalg.norm(setpoint.pose.position - here) > _HELD_M)

    def begin_at(self, now_ns: int) -> None:
        """Do nothing: what pulls the hand has no time of its own."""

    def step_action(self, action: Float64Array) -> None:
        """Advance 12.5 ms with the benchmark's own action: (4,) in [-1, 1], clipped."""
        if self.steps >= MAX_STEPS:
            raise SimulationError(
                f"the episode of '{self.task}' is over after {MAX_STEPS} steps; reset it"
            )
        self._env_observation, _, _, _, info = self._env.step(np.clip(action, -1.0, 1.0))
        self.steps += 1
        solved = bool(info['success'])
        if self._trial is not None:
            self._trial.show(self.steps)
            solved = self._trial.judge(self.steps, solved)
        self.success = self.success or solved

    def expert_action(self) -> Float64Array:
        """Return the scripted expert's action (4,), clipped to what the benchmark executes."""
        with warnings.catch_warnings():
            # The experts' gains exceed the limits on purpose; the environment clips.
            warnings.simplefilter('ignore')
            action = self._expert.get_action(self._env_observation)
        if self._trial is not None:
            action = self._trial.act(self.steps, self._env_observation[:3], action)
        return np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0)

    def render(self, camera: str = CAMERA) -> UInt8Array:
        """Return the image of the camera `corner2`: RGB (size, size, 3) uint8, upright."""
        if self._renderer is None:
            self._renderer = self._make_renderer()
        self._renderer.update_scene(self._env.data, camera=camera)
        self._scenery.draw(self._renderer.scene)
        image = self._renderer.render()
        return np.ascontiguousarray(image[::-1, ::-1])

    def _make_renderer(self) -> Any:
        size = self._camera_size
        return off_screen(self._mujoco, self._env.model, size, size)

    @property
    def rest_steps(self) -> int:
        """Control periods from the start in which the task is to rest; 0 but in memory tasks."""
        return 0 if self._trial is None else self._trial.go

    @property
    def goal_is_shown(self) -> bool:
        """Whether an image shows where to go; in memory tasks the first ones do."""
        return self._trial is None or shows_cue(self.steps)

    @property
    def instruction(self) -> str:
        """The instruction for the task, in words."""
        return self._tasks[self.task].instruction

    @property
    def done(self) -> bool:
        """Whether the episode is over: success, or 500 steps."""
        return self.success or self.steps >= MAX_STEPS

    @property
    def target_position(self) -> Float64Array:
        """The target the simulated controller tracks: (3,) base axes [m]."""
        return np.array(self._env.data.mocap_pos[0])

    @property
    def joint_positions(self) -> Float64Array:
        """Positions of `joint_names`: (7,) [rad]."""
        return np.array([self._env.data.joint(name).qpos[0] for name in self.joint_names])

    @property
    def object_positions(self) -> Float32Array:
        """Where things are, for supervision in training only: (6,) main object, goal [m].

        In a memory task that moves no object the lamp that is on stands for it.
        """
        observation, trial = self._env_observation, self._trial
        lamp = None if trial is None else trial.lamp(self.steps)
        first = observation[4:7] if lamp is None else lamp
        return np.concatenate([first, observation[36:39]]).astype(np.float32)

    def project(self, points: Float64Array) -> Float64Array:
        """Return the pixels (n, 2), x right and y down, of points (n, 3) in base axes [m]."""
        camera = self._env.data.cam(CAMERA)
        # MuJoCo cameras look along -z with y up; the protocol turns the image by 180 degrees.
        local = (np.asarray(points) - camera.xpos) @ camera.xmat.reshape(3, 3)
        half = 0.5 * self._camera_size
        focal = half / np.tan(0.5 * np.deg2rad(self._env.model.cam(CAMERA).fovy[0]))
        scaled = focal * local[:, :2] / local[:, 2:]
        return np.asarray(half + scaled * np.array([1.0, -1.0]))

    def state(self, stamp_ns: int) -> RobotState:
        """Return the arm's state as its sensors give it, stamped `stamp_ns`."""
        hand = self._env.data.body('hand')
        w, x, y, z = hand.xquat
        positions = self.joint_positions
        return RobotState(
            stamp_ns=stamp_ns,
            pose=Pose(np.array(hand.xpos), np.array([x, y, z, w])),
            gripper=float(self._env_observation[3]),
            joints={n: float(p) for n, p in zip(self.joint_names, positions, strict=True)},
        )

    def close(self) -> None:
        """Free the rendering context and the environment."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
        if self._env is not None:
            self._env.close()
            self._env = None

"""A robot at a table: episodes of a task, driven through the controllers of its contract.

All calls of one simulation come from one thread: the rendering context belongs to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np

from robomamba_ros.errors import ActionError, ConfigError, SimulationError, unknown_name
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.robots.parts import Workspace
from robomamba_ros.simulation.disagreement import Disagreement
from robomamba_ros.simulation.fake_arm import FakeArm
from robomamba_ros.simulation.joint_trajectory import JointTrajectory
from robomamba_ros.simulation.robots.arrangement import Arrangement
from robomamba_ros.simulation.robots.cameras import Renderer, add_camera
from robomamba_ros.simulation.robots.roster import ROBOTS, robot_with
from robomamba_ros.simulation.robots.scene import SceneLook, make_scene, pointing_down
from robomamba_ros.simulation.robots.tasks import TASKS
from robomamba_ros.simulation.robots.world import World, import_mujoco
from robomamba_ros.simulation.simulation import NO_TWISTS
from robomamba_ros.spatial.transforms import compose, inverse
from robomamba_ros.types import (
    NANOSECONDS,
    Float32Array,
    Float64Array,
    Pose,
    RobotState,
    Setpoint,
    UInt8Array,
)

# Things come to rest on the table before an episode begins [s].
_SETTLE_S = 0.3
# Joints are told to move where they are wanted further away than this [rad].
_MOVED_RAD = 2e-3
# What a Disagreement says of joints without masses.
_MADE_UP = (
    'lag_s',
    'lag_order',
    'velocity_share',
    'acceleration_share',
    'friction_rad',
    'backlash_rad',
)


class TableSim:
    """One robot in one of its tasks. SimulationError on an unknown task, or without rendering.

    disagreement: of its controllers and reports, and a load on the hand; ConfigError on others.
    camera_size: height and width of the images [px]. fine: images with shadows, for people.
    robot: the one that the task is for. arm: its contract. scene: what stands where. world: its
    physics.
    steps: control periods of this episode. success: whether the task has been done.
    """

    def __init__(
        self,
        task: str,
        seed: int,
        *,
        camera_size: tuple[int, int] = (128, 128),
        fine: bool = False,
        disagreement: Disagreement | None = None,
    ) -> None:
        self._mujoco = import_mujoco()
        robot = self.robot = robot_with(_known(task))
        self.arm = load_arm(robot.arm)
        self.urdf = robot.urdf()
        self.kinematics = Kinematics(self.arm, self.urdf)
        gripper = self.arm.gripper
        assert gripper is not None
        self._gripper = gripper
        self._joints = [joint.name for joint in self.arm.joints]
        self._chain = [self._joints.index(name) for name in self.kinematics.names]
        given = disagreement or Disagreement()
        _check(given)
        rate_hz = given.controller_rate_hz or robot.rate_hz
        self._camera_size, self._fine = camera_size, fine
        self._renderer: Renderer | None = None
        self.dt_ns = self.arm.period_ns
        self.cameras = robot.cameras
        self.view_angles = {view.name: view.field_of_view_deg for view in robot.views}
        self.task = ''
        self._load(task, seed)
        # Its joints are those of the world that there is when it is reset.
        self.fake = FakeArm(
            self.arm,
            None,
            0,
            disagreement=replace(given, controller_rate_hz=rate_hz),
            make_joints=lambda: self.world,
        )
        self._begun = self._wanted

    def reset(self, task: str | None, seed: int) -> None:
        """Start a new episode of `task` (None: the same); the seed fixes everything in it."""
        self._load(self.task if task is None else task, seed)
        self.begin_at(0)

    def begin_at(self, now_ns: int) -> None:
        """Count the time of its controllers from now_ns on; right after a reset."""
        self.fake.reset(now_ns)
        self.world.push(self.robot.tip, np.array([0.0, 0.0, -self.fake.disagreement.load_n]))
        self._begun = self._wanted

    def _load(self, name: str, seed: int) -> None:
        if robot_with(_known(name)) is not self.robot:
            own = [each for each in TASKS if robot_with(each) is self.robot]
            raise SimulationError(unknown_name(f'task of the {self.robot.title}', name, own))
        self.close()
        self.task, self.seed = name, seed
        self.steps, self.success, self._held = 0, False, 0
        rng = np.random.default_rng((seed, *name.encode()))
        slip = float(rng.uniform(0.0, self.robot.slip)) if self.robot.slip else 0.0
        self._slips = {joint.name: slip for joint in self.arm.joints_of('base')}
        while True:
            self.scene = TASKS[name].draw(rng)
            self.world = self._make_world(self.scene)
            self._settle()
            self._look = SceneLook(self.world, self.robot.fingers)
            if self._look.stands(self.scene):
                break

    def _make_world(self, scene: Arrangement) -> World:
        mujoco, robot = self._mujoco, self.robot
        begin = self._begin_joints(scene)
        spec = robot.spec(mujoco)
        robot.surround(mujoco, spec, scene)
        for view in robot.views:
            add_camera(mujoco, spec, view)
        joints = [*self._joints, self._gripper.joint]
        make = partial(World, motors=robot.motors, joints=joints, start=begin, slips=self._slips)
        return make_scene(mujoco, spec, scene, make)

    def _begin_joints(self, scene: Arrangement) -> dict[str, float]:
        """Return where the joints are at the begin, by name."""
        begin = {self._gripper.joint: self._gripper.open_position, **self.robot.begin(scene)}
        if all(name in begin for name in self._joints):
            return begin
        rest = np.array([joint.rest or 0.0 for joint in self.arm.joints])[self._chain]
        solution = self.kinematics.solve(pointing_down(scene.start, scene.start_turn), rest)
        return {**dict(zip(self.kinematics.names, solution.joints.tolist(), strict=True)), **begin}

    def _settle(self) -> None:
        here = self.world.positions
        self.world.step(here, np.zeros(len(here)), _SETTLE_S, None)

    @property
    def instruction(self) -> str:
        """What is to be done, in words."""
        return self.scene.instruction

    @property
    def done(self) -> bool:
        """Whether the episode is over: success, or its time is."""
        return self.success or self.steps * self.dt_ns >= self.robot.max_s * NANOSECONDS

    @property
    def workspace(self) -> Workspace:
        """The box that commanded positions stay in."""
        return self.arm.workspace

    @property
    def target_position(self) -> Float64Array:
        """Where the end effector is, base axes (3,) [m]."""
        return self.state(0).pose.position

    @property
    def look(self) -> SceneLook:
        """What the rules of success see."""
        return self._look

    def as_seen(self, pose: Pose) -> Pose:
        """Return a pose of the room in the base frame, as who sees it from the robot has it there.

        The frame of an odometry is where the wheels say, and so not quite where it was.
        """
        if not self.robot.base:
            return pose
        body = self.world.data.body(self.robot.base)
        room_T_robot = Pose(np.array(body.xpos), np.array(body.xquat)[[1, 2, 3, 0]])
        names = self.arm.names_of('base')
        x, y, turn = self.world.positions[[self._joints.index(name) for name in names]].tolist()
        half = turn / 2.0
        measured = Pose(np.array([x, y, 0.0]), np.array([0.0, 0.0, math.sin(half), math.cos(half)]))
        return compose(measured, compose(inverse(room_T_robot), pose))

    def follow(
        self,
        setpoint: Setpoint | None,
        ways: Mapping[str, JointTrajectory],
        twists: Mapping[str, Float64Array] = NO_TWISTS,
    ) -> None:
        """Advance by one control period, with what the controllers are sent at its begin.

        ways: trajectories by part. twists: velocities (3,) of a base. Raises SimulationError where
        the episode is over.
        """
        if self.done:
            raise SimulationError(f"the episode of '{self.task}' is over; reset it")
        fake = self.fake
        for part, way in ways.items():
            # One that is refused changes nothing, as on a robot.
            with suppress(ActionError):
                fake.accept(part, way, fake.now_ns)
        for part, (ahead, left, turn) in twists.items():
            with suppress(ActionError):
                fake.check_active(part)
                linear, angular = np.array([ahead, left, 0.0]), np.array([0.0, 0.0, turn])
                fake.twists[part].drive(linear, angular, fake.now_ns)
        if setpoint is not None and 'gripper' in fake.streams:
            finger = self._gripper.position(setpoint.gripper)
            fake.streams['gripper'].command(np.array([finger]))
        self.rest()
        self.steps += 1
        task = TASKS[self.task]
        self._held = self._held + 1 if task.holds(self.scene, self._look) else 0
        self.success = self.success or self._held * self.dt_ns >= task.hold_s * NANOSECONDS

    def rest(self) -> None:
        """Let a control period pass, of which no step is counted."""
        self.fake.advance(self.fake.now_ns + self.dt_ns)

    def told_to_move(self, setpoint: Setpoint | None) -> bool:
        """Tell whether its controller wants the joints elsewhere than at the begin."""
        return bool(np.abs(self._wanted - self._begun).max() > _MOVED_RAD)

    @property
    def _wanted(self) -> Float64Array:
        """Where controllers want the joints of arm and head, and where the base is."""
        controllers = self.fake.trajectories
        parts = [controllers[part].desired[0] for part in ('arm', 'head') if part in controllers]
        return np.concatenate([*parts, self.world.positions[: len(self.arm.joints_of('base'))]])

    def state(self, stamp_ns: int) -> RobotState:
        """Return the arm's state stamped `stamp_ns`: joints as measured, the pose from them."""
        *joints, finger = self.world.positions.tolist()
        return RobotState(
            stamp_ns=stamp_ns,
            pose=self.kinematics.forward(self.world.positions[self._chain]),
            gripper=self._gripper.opening(finger),
            joints=dict(zip(self._joints, joints, strict=True)),
        )

    def render(self, camera: str) -> UInt8Array:
        """Return the image of a camera: RGB (h, w, 3) uint8, upright."""
        return self._rendering.image(self.world.data, camera)

    def render_depth(self, camera: str) -> Float32Array:
        """Return the depth of a camera along its optical axis (h, w) [m]."""
        return self._rendering.depth(self.world.data, camera)

    @property
    def _rendering(self) -> Renderer:
        if self._renderer is None:
            model, size = self.world.model, self._camera_size
            self._renderer = Renderer(self._mujoco, model, *size, fine=self._fine)
        return self._renderer

    def close(self) -> None:
        """Free the rendering context."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def _known(task: str) -> str:
    """Return a task that there is; raises SimulationError on another one."""
    if task not in TASKS:
        raise SimulationError(unknown_name(f'task of {" or ".join(ROBOTS)}', task, TASKS))
    return task


def _check(disagreement: Disagreement) -> None:
    """Raise ConfigError on what a robot in physics has by its masses, motors and contacts."""
    for name in _MADE_UP:
        if getattr(disagreement, name) != getattr(Disagreement(), name):
            raise ConfigError(
                f'{name} is of arms without masses; leave it out for a robot in physics, which '
                'has motors and contacts of its own'
            )

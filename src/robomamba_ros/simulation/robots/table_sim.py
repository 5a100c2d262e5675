"""An FR3 at a table: episodes of a task, driven through the controllers of its contract.

All calls of one simulation come from one thread: the rendering context belongs to it.
"""

from __future__ import annotations

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
from robomamba_ros.simulation.robots.cameras import Renderer
from robomamba_ros.simulation.robots.franka import (
    ARM_JOINTS,
    FINGER_JOINT,
    FINGERS,
    MOTORS,
    TCP,
    fr3_urdf,
)
from robomamba_ros.simulation.robots.scene import VIEWS, SceneLook, make_scene, pointing_down
from robomamba_ros.simulation.robots.tasks import TASKS
from robomamba_ros.simulation.robots.world import World, import_mujoco
from robomamba_ros.types import (
    NANOSECONDS,
    Float32Array,
    Float64Array,
    RobotState,
    Setpoint,
    UInt8Array,
)

ARM = 'fr3_sim'
JOINTS = (*ARM_JOINTS, FINGER_JOINT)
CAMERAS = ('front', 'wrist')
MAX_S = 15.0
# Controllers and physics: 1,000 updates a second.
_RATE_HZ = 1000.0
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
    """One FR3 in one task. Raises SimulationError on an unknown task or without rendering.

    disagreement: of its controllers and reports, and a load on the hand; ConfigError on others.
    camera_size: height and width of the images [px]. fine: images with shadows, for people.
    arm: the contract. scene: what stands where. world: its physics.
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
        self.arm = load_arm(ARM)
        self._kinematics = Kinematics(self.arm, fr3_urdf())
        gripper = self.arm.gripper
        assert gripper is not None
        self._gripper = gripper
        given = disagreement or Disagreement()
        _check(given)
        rate_hz = given.controller_rate_hz or _RATE_HZ
        self._camera_size, self._fine = camera_size, fine
        self._renderer: Renderer | None = None
        self.dt_ns = self.arm.period_ns
        self.cameras, self.urdf = CAMERAS, fr3_urdf()
        self.view_angles = {view.name: view.field_of_view_deg for view in VIEWS}
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
        self.world.push(TCP, np.array([0.0, 0.0, -self.fake.disagreement.load_n]))
        self._begun = self._wanted

    def _load(self, name: str, seed: int) -> None:
        if name not in TASKS:
            raise SimulationError(unknown_name('task of the FR3', name, TASKS))
        self.close()
        self.task, self.seed = name, seed
        self.steps, self.success, self._held = 0, False, 0
        rng = np.random.default_rng((seed, *name.encode()))
        while True:
            self.scene = TASKS[name].draw(rng)
            self.world = self._make_world(self.scene)
            self._settle()
            self._look = SceneLook(self.world, FINGERS)
            if self._look.stands(self.scene):
                break

    def _make_world(self, scene: Arrangement) -> World:
        start = pointing_down(scene.start, scene.start_turn)
        rest = np.array([joint.rest or 0.0 for joint in self.arm.joints])
        joints = self._kinematics.solve(start, rest).joints
        begin = dict(zip(JOINTS, [*joints.tolist(), self._gripper.open_position], strict=True))
        return make_scene(
            self._mujoco, scene, partial(World, motors=MOTORS, joints=JOINTS, start=begin)
        )

    def _settle(self) -> None:
        here, still = self.world.positions, np.zeros(len(JOINTS))
        self.world.step(here, still, _SETTLE_S, None)

    @property
    def instruction(self) -> str:
        """What is to be done, in words."""
        return self.scene.instruction

    @property
    def done(self) -> bool:
        """Whether the episode is over: success, or its time is."""
        return self.success or self.steps * self.dt_ns >= MAX_S * NANOSECONDS

    @property
    def workspace(self) -> Workspace:
        """The box that commanded positions stay in."""
        return self.arm.workspace

    @property
    def target_position(self) -> Float64Array:
        """Where the end effector is, base axes (3,) [m]."""
        return np.array(self.world.data.body(TCP).xpos)

    @property
    def look(self) -> SceneLook:
        """What the rules of success see."""
        return self._look

    def follow(self, setpoint: Setpoint | None, ways: Mapping[str, JointTrajectory]) -> None:
        """Advance by one control period, with what the controllers are sent at its begin.

        ways: trajectories by part. Raises SimulationError where the episode is over.
        """
        if self.done:
            raise SimulationError(f"the episode of '{self.task}' is over; reset it")
        fake = self.fake
        for part, way in ways.items():
            # One that is refused changes nothing, as on a robot.
            with suppress(ActionError):
                fake.accept(part, way, fake.now_ns)
        if setpoint is not None:
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
        return np.array(self.fake.trajectories['arm'].desired[0])

    def state(self, stamp_ns: int) -> RobotState:
        """Return the arm's state stamped `stamp_ns`: joints as measured, the pose from them."""
        *joints, finger = self.world.positions.tolist()
        return RobotState(
            stamp_ns=stamp_ns,
            pose=self._kinematics.forward(self.world.positions[:-1]),
            gripper=self._gripper.opening(finger),
            joints=dict(zip(ARM_JOINTS, joints, strict=True)),
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


def _check(disagreement: Disagreement) -> None:
    """Raise ConfigError on what a robot in physics has by its masses, motors and contacts."""
    for name in _MADE_UP:
        if getattr(disagreement, name) != getattr(Disagreement(), name):
            raise ConfigError(
                f'{name} is of arms without masses; leave it out for a robot in physics, which '
                'has motors and contacts of its own'
            )

"""Where to grasp in Meta-World's scenes: contact points and directions from MuJoCo's geometry.

A scene is a task with its objects placed by a seed, the fixture turned, the arm parked and the
camera moved a little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from robomamba_ros.errors import SimulationError, unknown_name
from robomamba_ros.simulation.metaworld import (
    CAMERA,
    CAMERA_POSITION,
    MAX_STEPS,
    STEP_M,
    MetaWorldSim,
)
from robomamba_ros.simulation.scene_changes import turned_by
from robomamba_ros.types import Float32Array, Float64Array, UInt8Array

Vector = tuple[float, float, float]
X, Y, Z, DOWN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, -1.0)

# How far a scene strays from the benchmark's.
YAW_RAD = 0.35
CAMERA_SHIFT_M = 0.06
CAMERA_TURN_RAD = 0.06
# Where the arm waits, between its base and the objects: the hand's target in base axes [m], and the
# joints [rad] at which the benchmark's controller comes to rest there.
PARKED = (
    ((-0.4, 0.42, 0.3), (2.725, -0.499, -1.293, 1.589, 1.06, 1.318, 3.004)),
    ((-0.25, 0.4, 0.25), (2.666, -0.499, -1.318, 1.94, 1.165, 1.184, 2.615)),
    ((-0.1, 0.42, 0.4), (2.309, -0.499, -1.693, 1.812, 1.06, 1.561, 2.216)),
    ((0.05, 0.4, 0.45), (1.915, -0.499, -1.84, 1.787, 1.024, 1.697, 1.771)),
)
# The ray to the middle of a part must meet its surface no further away than a part is thick [m].
THICKNESS_M = 0.06
# What a rendered depth may differ from the ray's by [m]: a pixel has a size.
DEPTH_AGREES_M = 0.01
BORDER_PX = 4
# From the hand's frame to the tips of the closed fingers, which point down [m].
FINGER_M = 0.045
# How a touch is tried: height of the way there, depth behind the point [m], steps to come to rest.
CLEAR_M, BEHIND_M, SETTLE_STEPS = 0.42, 0.01, 12


@dataclass(frozen=True)
class Handle:
    """What a task acts on.

    thing, part: in words. body: MuJoCo's; the vectors are given in the frame of the innermost body
    inside it. point: the middle of the part [m]. up: the way the end effector comes, into the
    surface. along: the part's long side, so that fingers that open across it can close; the end
    effector's forward.
    """

    thing: str
    part: str
    body: str
    point: Vector
    up: Vector
    along: Vector


_DRAWER = Handle('drawer', 'handle', 'drawer_link', (0.0, -0.15, 0.0), Y, X)
_DOOR = Handle('door', 'handle', 'door_link', (0.381, -0.122, 0.0), Y, X)
_LOCK = Handle('door', 'lock', 'lock_link', (0.042, -0.024, 0.0), Y, X)
_WINDOW = Handle('window', 'handle', 'windowb_a', (-0.014, -0.095, 0.0), Y, Z)
_BUTTON = Handle('box', 'button', 'button', (0.0, -0.192, 0.0), Y, X)
_FAUCET = Handle('faucet', 'handle', 'faucet_link2', (0.0, -0.12, 0.001), DOWN, Y)
_PRESSED = Handle('machine', 'handle', 'handle_link', (0.0, -0.166, 0.0), DOWN, X)
_PULLED = Handle('machine', 'handle', 'handle_link', (0.0, -0.166, 0.0), Y, X)

HANDLES: Mapping[str, Handle] = {
    'drawer-open': _DRAWER,
    'drawer-close': _DRAWER,
    'door-open': _DOOR,
    'door-lock': _LOCK,
    'door-unlock': _LOCK,
    'window-open': _WINDOW,
    'window-close': _WINDOW,
    'button-press': _BUTTON,
    'button-press-topdown': _BUTTON,
    'coffee-button': Handle('coffee machine', 'button', 'cmbutton', (0.0, -0.19, 0.3), Y, X),
    'faucet-open': _FAUCET,
    'faucet-close': _FAUCET,
    'handle-press': _PRESSED,
    'handle-press-side': _PRESSED,
    'handle-pull': _PULLED,
    'lever-pull': Handle('lever', 'knob', 'lever_link1', (0.0, -0.2, 0.0), Y, X),
    'plate-slide': Handle('plate', 'rim', 'puck_channel', (0.0, 0.0, 0.0), DOWN, Y),
    'push': Handle('puck', 'top', 'obj', (0.0, 0.0, 0.0), DOWN, Y),
    'soccer': Handle('ball', 'top', 'soccer_ball', (0.0, 0.0, 0.0), DOWN, Y),
    'coffee-push': Handle('mug', 'rim', 'obj', (0.0, 0.0, 0.03), DOWN, Y),
}


@dataclass(frozen=True)
class Scene:
    """What a camera sees and where to act in it.

    image (h, w, 3) RGB; depth (h, w) [m] along the optical axis; intrinsics (3, 3); camera_pose
    (4, 4) of the optical frame; pixel (2,): column and row of the contact, centres at integers;
    point (3,) [m] and directions (6,), up then forward, both in the camera's optical frame.
    """

    image: UInt8Array
    depth: Float32Array
    intrinsics: Float64Array
    camera_pose: Float64Array
    pixel: Float64Array
    point: Float64Array
    directions: Float64Array


class HandleSim(MetaWorldSim):
    """Scenes with a handle, one after the other. Raises SimulationError for a task without one."""

    def __init__(self, task: str, seed: int, *, camera_size: int = 224) -> None:
        super().__init__(_known(task), seed, camera_size=camera_size)
        self.arrange(task, seed)

    def arrange(self, task: str, seed: int) -> None:
        """Make the scene of a task and a seed: the same scene whatever was there before."""
        self.handle = HANDLES[_known(task)]
        if task == self.task:
            # The benchmark's reset lets things settle, and does not turn the fixture back.
            self._env.model.body_quat[self._fixture] = self._straight
        self.reset(task, seed)
        model = self._env.model
        rng = np.random.default_rng((seed, sorted(HANDLES).index(task)))
        yaw = np.array(Z) * rng.uniform(-YAW_RAD, YAW_RAD)
        model.body_quat[self._fixture] = turned_by(yaw, self._straight)
        camera = model.cam(CAMERA)
        camera.pos[:] = CAMERA_POSITION + rng.uniform(-CAMERA_SHIFT_M, CAMERA_SHIFT_M, 3)
        turn = rng.uniform(-CAMERA_TURN_RAD, CAMERA_TURN_RAD, 3)
        camera.quat[:] = turned_by(turn, self._aim)
        self._park(int(rng.integers(len(PARKED))))
        self._mujoco.mj_forward(model, self._env.data)

    def _make_environment(self, name: str) -> None:
        super()._make_environment(name)
        model = self._env.model
        self._fixture = int(model.body(HANDLES[name].body).rootid[0])
        self._straight = np.array(model.body_quat[self._fixture])
        self._aim = np.array(model.cam(CAMERA).quat)
        self._hand_geoms, self._part_geoms = map(self._geoms, ('hand', HANDLES[name].body))

    def look(self) -> Scene | None:
        """Return the scene as the camera sees it, None where the contact point is out of sight."""
        rotation, origin = self._camera()
        nominal, directions = self._grip()
        ray = nominal - origin
        geom = np.zeros(1, np.int32)
        shown = np.array([1, 1, 1, 0, 0, 0], np.uint8)
        distance = self._mujoco.mj_ray(
            self._env.model, self._env.data, origin, ray, shown, 1, -1, geom
        )
        if distance < 0.0 or geom[0] not in self._part_geoms:
            return None
        point = origin + distance * ray
        if np.linalg.norm(point - nominal) > THICKNESS_M:
            return None
        seen = rotation.T @ (point - origin)
        pixel = (self.intrinsics @ seen)[:2] / seen[2]
        size = self._camera_size
        if (pixel < BORDER_PX).any() or (pixel > size - 1 - BORDER_PX).any():
            return None
        image, depth = self.render(), self.render_depth()
        column, row = np.rint(pixel).astype(int)
        if abs(depth[row, column] - seen[2]) > DEPTH_AGREES_M:
            return None
        return Scene(
            image=image,
            depth=depth,
            intrinsics=self.intrinsics,
            camera_pose=_matrix(rotation, origin),
            pixel=pixel,
            point=seen,
            directions=np.concatenate([rotation.T @ direction for direction in directions]),
        )

    @property
    def intrinsics(self) -> Float64Array:
        """Pixel matrix (3, 3) of the camera, pixel centres at integers."""
        size = self._camera_size
        focal = 0.5 * size / np.tan(0.5 * np.deg2rad(self._env.model.cam(CAMERA).fovy[0]))
        middle = 0.5 * (size - 1)
        return np.array([[focal, 0.0, middle], [0.0, focal, middle], [0.0, 0.0, 1.0]])

    def render_depth(self) -> Float32Array:
        """Return what `render` shows as depth along the optical axis (size, size) [m]."""
        if self._renderer is None:
            self._renderer = self._make_renderer()
        self._renderer.enable_depth_rendering()
        self._renderer.update_scene(self._env.data, camera=CAMERA)
        depth = self._renderer.render()
        self._renderer.disable_depth_rendering()
        return np.ascontiguousarray(depth[::-1, ::-1])

    def touch(
        self, point: Float64Array, up: Float64Array, *, from_m: float, within_m: float
    ) -> bool:
        """Move the closed fingers to `point` (3,) [m] along `up` (3,), both in base axes.

        They come over everything else to `from_m` before the point, and end BEHIND_M behind it, as
        the benchmark's controller moves them, in its workspace. Returns whether they touch the part
        that the task acts on, not further than `within_m` from where it is to be held.
        """
        held, _ = self._grip()
        start = point - from_m * up + np.array([0.0, 0.0, FINGER_M])
        over = np.array([0.0, 0.0, max(CLEAR_M - start[2], 0.0)])
        here = self.target_position
        up_here = np.array([here[0], here[1], (start + over)[2]])
        way = (up_here, start + over, start, start + (from_m + BEHIND_M) * up)
        for target in way:
            for _ in range(
                int(np.abs(target - self.target_position).max() / STEP_M) + SETTLE_STEPS
            ):
                if self.steps >= MAX_STEPS:
                    return False
                self.step(target, 0.0)
                if any(np.linalg.norm(at - held) <= within_m for at in self._touches()):
                    return True
        return False

    def _touches(self) -> list[Float64Array]:
        """Return where the gripper touches the part (3,) [m]."""
        contacts, hand, part = self._env.data.contact, self._hand_geoms, self._part_geoms
        return [
            np.array(place)
            for (one, other), place in zip(contacts.geom.tolist(), contacts.pos, strict=True)
            if (one in hand and other in part) or (other in hand and one in part)
        ]

    def _camera(self) -> tuple[Float64Array, Float64Array]:
        """Return rotation (3, 3) and origin (3,) of the optical frame in base axes.

        MuJoCo's camera looks along -z with y up; the protocol turns its image by 180 degrees.
        """
        camera = self._env.data.cam(CAMERA)
        return camera.xmat.reshape(3, 3) * np.array([-1.0, 1.0, -1.0]), np.array(camera.xpos)

    def _grip(self) -> tuple[Float64Array, tuple[Float64Array, Float64Array]]:
        """Return the middle of the part (3,) [m], and up and forward, in base axes."""
        model, data = self._env.model, self._env.data
        body = int(model.body(self.handle.body).id)
        inner = max(b for b in range(body, model.nbody) if self._inside(b, body))
        rotation = data.xmat[inner].reshape(3, 3)
        point = data.xpos[inner] + rotation @ np.array(self.handle.point)
        return point, (rotation @ np.array(self.handle.up), rotation @ np.array(self.handle.along))

    def _geoms(self, body: str) -> set[int]:
        """Return the geoms of a body and of those inside it."""
        model = self._env.model
        number = int(model.body(body).id)
        return {g for g in range(model.ngeom) if self._inside(int(model.geom_bodyid[g]), number)}

    def _inside(self, body: int, ancestor: int) -> bool:
        while body > ancestor:
            body = int(self._env.model.body_parentid[body])
        return body == ancestor

    def _park(self, place: int) -> None:
        data = self._env.data
        target, joints = PARKED[place]
        data.mocap_pos[0] = target
        data.qvel[:] = 0.0
        for name, position in zip(self.joint_names, joints, strict=True):
            data.joint(name).qpos[0] = position


def _known(task: str) -> str:
    if task not in HANDLES:
        raise SimulationError(unknown_name('task with a handle', task, HANDLES))
    return task


def _matrix(rotation: Float64Array, origin: Float64Array) -> Float64Array:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, origin
    return matrix

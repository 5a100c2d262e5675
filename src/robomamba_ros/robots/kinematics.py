"""Forward and inverse kinematics of the arm of a contract, on Pinocchio."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from robomamba_ros.errors import ActionError, ObservationError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.backend import import_eigenpy, import_pinocchio
from robomamba_ros.robots.bounded import bounded_minimum, clipped, within
from robomamba_ros.robots.branch import Branch
from robomamba_ros.robots.chain import Chain, pose_of
from robomamba_ros.robots.collisions import Collisions
from robomamba_ros.robots.parts import Camera
from robomamba_ros.robots.urdf import chain_urdf, read_urdf
from robomamba_ros.spatial.transforms import compose, place, shortest_turn
from robomamba_ros.spatial.vectors import Vector, minus, norm, times
from robomamba_ros.types import Float64Array, Pose

# What a turn weighs beside a way, where both cannot be had [m/rad].
_TURN = 0.1
# solve(): where a pose counts as reached [m, with turns weighted].
_TOLERANCE = 1e-6
# solve() damps in proportion to the squared error (Sugihara 2011): short steps where the error
# cannot be removed, full ones near the target.
_DAMPING = 0.1
_LEAST_DAMPING = 1e-12
# solve(): the most a joint changes in one iteration [rad or m], the number of tries, and the
# iterations in which the error has to be halved.
_TRUST = 1.0
_TRIES = 40
_PATIENCE = 10
# step(): the squared speed at full joint speed [m^2/s^2] below which the tip counts as still, and
# the time in which free motion drifts to rest [s].
_LOST_SPEED = 1e-6
_REST_TIME = 1.0
# Bounds (2, 1) on the unknowns of step() [s], for a period of 1 s.
_BELOW, _ABOVE = np.array(((-1.0,), (0.0,))), np.array(((0.0,), (1.0,)))
# A change too small to meet a bound, or to be divided by [s].
_STILL = 1e-15


@dataclass(frozen=True)
class JointSolution:
    """Joint positions (n,) and what they leave to the target: a way [m] and a turn [rad]."""

    joints: Float64Array
    position_error: float
    rotation_error: float

    @property
    def reached(self) -> bool:
        """Whether the target is met to 1e-6 m and 1e-5 rad."""
        return self.position_error < _TOLERANCE and self.rotation_error < _TOLERANCE / _TURN


class Kinematics:
    """The chain from the base to the end-effector frame: the joints of the parts base and arm.

    names: those joints from base to tip; every array of joints has this order. lower, upper
    [rad or m], velocity [rad/s or m/s]: limits of the contract, (n,). urdf: its text; None reads
    the file that the contract names. One object serves one thread.
    watch: whether the shapes of the URDF are read too, for `collisions`; else that is None.

    Raises ConfigError where contract and URDF do not fit, BackendError without Pinocchio.
    """

    def __init__(self, arm: ArmContract, urdf: str | None = None, *, watch: bool = False) -> None:
        self._pin, self._LDLT = import_pinocchio(), import_eigenpy().LDLT
        self._name, self._base_frame = arm.name, arm.base_frame
        urdf = read_urdf(arm) if urdf is None else urdf
        self._chain = Chain(self._pin, *chain_urdf(arm, urdf))
        self.collisions = Collisions(arm, urdf) if watch else None
        self._branches = {c.link: Branch(arm, urdf, c.link) for c in arm.cameras if c.link}
        self.names = self._chain.names
        known = {joint.name: joint for joint in arm.joints}
        joints = [known[name] for name in self.names]
        self.lower = np.array([joint.position[0] for joint in joints])
        self.upper = np.array([joint.position[1] for joint in joints])
        self.velocity = np.array([joint.velocity for joint in joints])
        self._rest = np.array([0.0 if joint.rest is None else joint.rest for joint in joints])
        # How much of the way there a joint drifts in a second; none where it has no rest.
        self._drifts = np.array([joint.rest is not None for joint in joints]) / _REST_TIME
        # In the unknowns of toward(): the times [s] that the joints would run at full speed.
        self._ends_s = np.array((self.lower, self.upper)) / self.velocity
        self._rest_s = self._rest / self.velocity
        self._ones = np.eye(len(joints))
        self._lost = _LOST_SPEED * self._ones
        base, self._tip = map(self._chain.frame, (arm.base_frame, arm.ee_frame))
        self._last: _Tip | None = None
        self._chain.move(np.zeros(len(joints)))
        # Nothing moves between the base frame and the root.
        self._base_T_root = self._chain.place(base).inverse()
        # What turns a Jacobian of the root's axes into one of the base's, turns weighted.
        turn = np.array(self._base_T_root.rotation)
        self._base_axes = np.kron(np.diag((1.0, _TURN)), turn)

    def copy(self) -> Kinematics:
        """Return one for another thread, without `collisions` and links of cameras."""
        other = copy(self)
        other._chain, other._last = self._chain.copy(), None
        other.collisions, other._branches = None, {}
        return other

    def forward(self, joints: Float64Array) -> Pose:
        """Return base_T_ee at `joints` (n,); raises ObservationError on another number of them."""
        self._chain.move(self._checked(joints))
        return pose_of(self._pin, self._base_T_root * self._chain.place(self._tip))

    def base_T_link(self, link: str, joints: Mapping[str, float]) -> Pose:  # noqa: N802
        """Return where the link of a camera is, with the joints of all parts at `joints`."""
        return self._branches[link].pose(joints)

    def jacobian(self, joints: Float64Array) -> Float64Array:
        """Return (6, n): end-effector velocity per joint velocity, linear above angular, base axes.

        The point that moves is the origin of the end-effector frame.
        """
        in_root = self._chain.jacobian(self._checked(joints), self._tip)
        rotation = self._base_T_root.rotation
        return np.vstack([rotation @ in_root[:3], rotation @ in_root[3:]])

    def step(self, joints: Float64Array, target: Pose, period_s: float) -> JointSolution:
        """Return the joints one period on, as near to `target` as their limits let them come.

        See `toward`, which does not look what is left.
        """
        return self._solution(self.toward(joints, target, period_s), target)

    def toward(self, joints: Float64Array, target: Pose, period_s: float) -> Float64Array:
        """Return the joints (n,) one period on, as near to `target` as their limits let them come.

        No joint leaves its positions or exceeds its velocity; one that starts outside only comes
        back. Each joint does its share of what it can do. Where a singularity asks for more than
        that, the arm lags behind the target. What the target leaves free drifts to rest.
        """
        here = self._checked(joints)
        error, jacobian = self._linearized(here, target)
        A, length = jacobian * self.velocity, math.sqrt(error.dot(error))
        H, g = A.T @ A, error @ A
        # An error that stays bends the problem by error * curvature; with half of that as damping
        # steps settle at the edge of the reach instead of hopping across it.
        speeds = zip(H.diagonal().tolist(), self.velocity.tolist(), strict=True)
        curvature = max(math.sqrt(square) * velocity for square, velocity in speeds)
        damped = H + (0.5 * length * curvature + _LEAST_DAMPING) * self._ones
        here_s = here / self.velocity
        low, high = clipped(self._ends_s - here_s, _BELOW * period_s, _ABOVE * period_s)
        wanted = self._drifts * (self._rest_s - here_s) * period_s
        # What moves the tip is taken out of the way to rest: (1 - A'(AA' + e)^-1 A) wanted, which
        # is e (A'A + e)^-1 wanted.
        x = bounded_minimum(damped, g, low, high, self._solve(damped, g))
        drift = self._solve(H + self._lost, wanted)
        drift = _LOST_SPEED * drift
        drifted = x + drift
        if not within(drifted, low, high):
            drifted = x + _largest_share(x, drift, low, high) * drift
        there = here + drifted * self.velocity
        return clipped(there, np.minimum(self.lower, here), np.maximum(self.upper, here))

    def _solve(self, H: Float64Array, g: Float64Array) -> Float64Array:
        """Return the x (n,) for which H x = g, H positive semidefinite."""
        x: Float64Array = self._LDLT(H).solve(g)
        return x

    def miss(self, joints: Float64Array, target: Pose) -> tuple[float, float]:
        """Return how far from `target` the end effector is at joints (n,): a way [m], a turn [rad].

        The joints are taken as they are.
        """
        way, turn = self._at(joints).left(target)
        return norm(way), norm(turn)

    def solve(self, target: Pose, start: Float64Array) -> JointSolution:
        """Return joints within their limits that reach `target` to 1e-6 m and 1e-5 rad.

        Begins at `start` (n,) and goes on from other places around it, the same every time. The
        answer may be far from `start`: it is a goal to plan to, not a command. Raises ActionError
        with what is left to the target where no try arrives.
        """
        joints = start = np.clip(self._checked(start), self.lower, self.upper)
        random = np.random.default_rng(0)
        low = np.maximum(self.lower, start - np.pi)
        high = np.minimum(self.upper, start + np.pi)
        found: list[JointSolution] = []
        for _ in range(_TRIES):
            found.append(self._descend(joints, target))
            if found[-1].reached:
                return found[-1]
            joints = random.uniform(low, high)
        best = min(found, key=lambda each: each.position_error + _TURN * each.rotation_error)
        raise ActionError(
            f"arm '{self._name}' cannot reach position {np.round(target.position, 4).tolist()} m, "
            f'quaternion {np.round(target.quaternion, 4).tolist()} in {self._base_frame}: the '
            f'nearest found is {best.position_error:.4g} m and {best.rotation_error:.4g} rad away'
        )

    def _descend(self, joints: Float64Array, target: Pose) -> JointSolution:
        """Return where steps of Levenberg-Marquardt within the joint limits arrive or stall."""
        checked = np.inf
        for iteration in itertools.count():
            error, jacobian = self._linearized(joints, target)
            distance = float(np.linalg.norm(error))
            if distance < _TOLERANCE:
                break
            if iteration % _PATIENCE == 0:
                if distance > 0.5 * checked:
                    break
                checked = distance
            low = np.maximum(self.lower - joints, -_TRUST)
            high = np.minimum(self.upper - joints, _TRUST)
            x = _damped_solution(jacobian, error, _DAMPING * distance**2, low, high)
            joints = np.clip(joints + x, self.lower, self.upper)
        return self._solution(joints, target)

    def _linearized(self, joints: Float64Array, target: Pose) -> tuple[Float64Array, Float64Array]:
        """Return what is left to `target` (6,) and the Jacobian (6, n), turns weighted."""
        tip = self._at(joints)
        way, turn = tip.left(target)
        return np.array((*way, *times(_TURN, turn))), tip.jacobian

    def _at(self, joints: Float64Array) -> _Tip:
        """Return the tip at joints (n,). What was asked last is kept: control asks again."""
        asked = joints.tolist()
        if self._last is None or self._last.joints != asked:
            jacobian = self._base_axes @ self._chain.jacobian(joints, self._tip)
            base_T_tip = self._base_T_root * self._chain.place(self._tip)
            x, y, z, *quaternion = self._pin.SE3ToXYZQUAT(base_T_tip).tolist()
            self._last = _Tip(asked, (x, y, z), quaternion, jacobian)
        return self._last

    def _solution(self, joints: Float64Array, target: Pose) -> JointSolution:
        return JointSolution(joints, *self.miss(joints, target))

    def _checked(self, joints: Float64Array) -> Float64Array:
        joints = np.asarray(joints, dtype=np.float64)
        # A sum is finite where all numbers are, but for some that no joint is at.
        if joints.shape != self.lower.shape or not math.isfinite(sum(joints.tolist())):
            raise ObservationError(
                f"the kinematics of arm '{self._name}' needs {len(self.names)} finite joint "
                f'positions ({", ".join(self.names)}), got {joints.tolist()}'
            )
        return joints


class _Tip(NamedTuple):
    """The end effector at some joints: its place, and the Jacobian (6, n), turns weighted."""

    joints: list[float]
    position: Vector
    quaternion: list[float]
    jacobian: Float64Array

    def left(self, target: Pose) -> tuple[Vector, Vector]:
        """Return way and turn from here to `target`."""
        position, quaternion = place(target)
        return minus(position, self.position), shortest_turn(self.quaternion, quaternion)


def _damped_solution(
    A: Float64Array, error: Float64Array, damping: float, low: Float64Array, high: Float64Array
) -> Float64Array:
    """Return the x in [low, high] that minimises |A x - error|^2 + damping |x|^2."""
    H = A.T @ A
    H[np.diag_indices_from(H)] += damping + _LEAST_DAMPING
    return bounded_minimum(H, A.T @ error, low, high)


def _largest_share(
    x: Float64Array, change: Float64Array, low: Float64Array, high: Float64Array
) -> float:
    """Return the largest s in 0..1 for which x + s * change is within the bounds."""
    room = np.where(change > 0.0, high - x, low - x)
    moving = np.abs(change) > _STILL
    return float(np.clip(np.min(room[moving] / change[moving], initial=1.0), 0.0, 1.0))


def base_T_optical(  # noqa: N802
    camera: Camera, base_T_ee: Pose, joints: Mapping[str, float], kinematics: Kinematics | None
) -> Pose | None:
    """Return where the optical frame of a camera is, as the contract says; None if it does not.

    joints: those of all parts, for a camera on a link, which needs the arm's kinematics too.
    """
    if camera.link is not None:
        return None if kinematics is None else kinematics.base_T_link(camera.link, joints)
    return compose(base_T_ee, camera.ee_T_camera) if camera.ee_T_camera else camera.base_T_camera

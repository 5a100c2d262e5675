"""An arm with masses in MuJoCo: joints that position servos move, gravity compensated.

Its joints lie as in a URDF; links without an inertia there are given one.
"""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
from transforms3d.euler import euler2quat

from robomamba_ros.robots.parts import Joint
from robomamba_ros.simulation.disagreement.drive import Drive, Mask
from robomamba_ros.simulation.robots.world import import_mujoco
from robomamba_ros.types import Float64Array

# Physics and servos: 1,000 updates a second.
_STEP_S = 1e-3
# Without a lag of its own a servo is this far behind a steady motion, as a time [s].
SERVO_LAG_S = 0.02
# Of a link that says nothing: a tenth of the arm, as a ball of 10 cm; of one of a mobile base.
_MASS_KG, _RADIUS_M, _BASE_MASS_KG = 1.5, 0.1, 20.0
# A rotor and its gears [kg m^2, kg].
_ARMATURE = 0.05
# What turns with wheels: along x, along y, about z of where the odometry began.
_PLANAR = (('slide', '1 0 0'), ('slide', '0 1 0'), ('hinge', '0 0 1'))


class PhysicalArm:
    """Joints with masses, in the order of `joints` and of `others`, which have none (see Joints).

    drive: what happens to a command before it reaches the servos. lag_s: of the servos, which are
    critically damped (see Flaws). load_n: what pulls the end effector down and is not compensated
    [N]. Raises BackendError where MuJoCo is missing.
    """

    def __init__(
        self,
        joints: tuple[Joint, ...],
        urdf: str,
        tip: str,
        start: Float64Array,
        drive: Drive,
        by_velocity: Mask,
        *,
        lag_s: float = SERVO_LAG_S,
        load_n: float = 0.0,
    ) -> None:
        mujoco = self._mujoco = import_mujoco()
        self._drive, self._wheels, self._count = drive, by_velocity[: len(joints)], len(joints)
        self._model = mujoco.MjModel.from_xml_string(mjcf(joints, urdf))
        self._data = mujoco.MjData(self._model)
        kind = mujoco.mjtObj.mjOBJ_JOINT
        names = [mujoco.mj_name2id(self._model, kind, joint.name) for joint in joints]
        self._at = self._model.jnt_qposadr[names]
        self._dof = self._model.jnt_dofadr[names]
        body = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_BODY, tip)
        self._data.xfrc_applied[body, 2] = -load_n
        self.positions = np.array(start, dtype=np.float64)
        self.velocities = np.zeros(len(start))
        self._data.qpos[self._at] = start[: self._count]
        mujoco.mj_forward(self._model, self._data)
        inertia = np.zeros((self._model.nv, self._model.nv))
        mujoco.mj_fullM(self._model, inertia, self._data.qM)
        self._inertia = np.diag(inertia)[self._dof]
        self._rate = 2.0 / lag_s

    def step(
        self, wanted: Float64Array, speeds: Float64Array, seconds: float, blocked: Mask | None
    ) -> None:
        """Move for some seconds towards positions (n,), with speeds (n,) where driven by them."""
        before, data, count = self._drive.positions, self._data, self._count
        self._drive.step(wanted, speeds, seconds, None)
        steps = max(round(seconds / _STEP_S), 1)
        self._model.opt.timestep = seconds / steps
        held = np.zeros(count, dtype=bool) if blocked is None else blocked[:count]
        stays = data.qpos[self._at].copy()
        for k in range(1, steps + 1):
            target = (before + (self._drive.positions - before) * (k / steps))[:count]
            self._servo(target, speeds[:count])
            self._mujoco.mj_step(self._model, data)
            if held.any():
                data.qpos[self._at[held]] = stays[held]
                data.qvel[self._dof[held]] = 0.0
        self._measure(self._drive.positions, self._drive.velocities)

    def put(self, positions: Float64Array, seconds: float) -> None:
        """Be moved to positions (n,) within some seconds, by something else than the drive."""
        self._drive.put(positions, seconds)
        velocities = (positions - self.positions) / seconds
        self._data.qpos[self._at] = positions[: self._count]
        self._data.qvel[self._dof] = velocities[: self._count]
        self._measure(positions, velocities)

    def _servo(self, target: Float64Array, speeds: Float64Array) -> None:
        """Apply the torques of the servos: what holds the arm, and what moves it to its target."""
        data, rate = self._data, self._rate
        here, speed = data.qpos[self._at], data.qvel[self._dof]
        # By position to rest there; by velocity with the same damping.
        pull = np.where(self._wheels, 2.0 * rate * speeds, rate**2 * (target - here))
        wanted = self._inertia * (pull - 2.0 * rate * speed)
        data.qfrc_applied[self._dof] = data.qfrc_bias[self._dof] + wanted

    def _measure(self, positions: Float64Array, velocities: Float64Array) -> None:
        count = self._count
        own, speeds = self._data.qpos[self._at], self._data.qvel[self._dof]
        self.positions = np.concatenate([own, positions[count:]])
        self.velocities = np.concatenate([speeds, velocities[count:]])


def mjcf(joints: tuple[Joint, ...], urdf: str) -> str:
    """Return MJCF of a URDF in which only `joints` move; those of a base carry its root.

    Links have the inertia of the URDF, or without one that of a ball. Nothing collides.
    """
    robot = ElementTree.fromstring(urdf)
    links = {link.get('name', ''): link for link in robot.iter('link')}
    children: dict[str, list[ElementTree.Element]] = {}
    for joint in robot.iter('joint'):
        parent = joint.find('parent')
        if parent is not None and joint.find('child') is not None:
            children.setdefault(parent.get('link', ''), []).append(joint)
    carried = {_child(joint) for each in children.values() for joint in each}
    root = next(name for name in links if name not in carried)
    moving = {joint.name for joint in joints}
    world = ElementTree.Element('mujoco')
    # Torques are those of 1,000 updates a second; an implicit integrator needs no damping.
    ElementTree.SubElement(world, 'option', timestep=str(_STEP_S), integrator='implicitfast')
    body = ElementTree.SubElement(world, 'worldbody')
    base = [joint.name for joint in joints if joint.part == 'base']
    for name, (kind, axis) in zip(base, _PLANAR, strict=False):
        body = ElementTree.SubElement(body, 'body', name=f'{name}_carriage')
        _add_joint(body, name, kind, axis)
        _add_inertia(body, _BASE_MASS_KG)
    _add_link(body, links, children, moving, root, None)
    return ElementTree.tostring(world, encoding='unicode')


def _add_link(
    parent: ElementTree.Element,
    links: dict[str, ElementTree.Element],
    children: dict[str, list[ElementTree.Element]],
    moving: set[str],
    name: str,
    joint: ElementTree.Element | None,
) -> None:
    # The world of MuJoCo has that name.
    called = 'world_link' if name == 'world' else name
    body = ElementTree.SubElement(parent, 'body', {'name': called, **_place(joint)})
    own = '' if joint is None else joint.get('name', '')
    if joint is not None and own in moving:
        kind = 'slide' if joint.get('type') == 'prismatic' else 'hinge'
        axis = joint.find('axis')
        _add_joint(body, own, kind, '1 0 0' if axis is None else axis.get('xyz', '1 0 0'))
    inertial = links[name].find('inertial')
    mass = None if inertial is None else inertial.find('mass')
    inertia = None if inertial is None else inertial.find('inertia')
    if inertial is None or mass is None or inertia is None or float(mass.get('value', '0')) <= 0.0:
        _add_inertia(body, _MASS_KG if own in moving else 0.01)
    else:
        keys = ('ixx', 'iyy', 'izz', 'ixy', 'ixz', 'iyz')
        full = ' '.join(inertia.get(key, '0') for key in keys)
        place = _place(inertial)
        place.pop('quat')
        given = {'mass': mass.get('value', ''), 'fullinertia': full, **place}
        ElementTree.SubElement(body, 'inertial', given)
    for child in children.get(name, []):
        _add_link(body, links, children, moving, _child(child), child)


def _child(joint: ElementTree.Element) -> str:
    child = joint.find('child')
    return '' if child is None else child.get('link', '')


def _place(element: ElementTree.Element | None) -> dict[str, str]:
    origin = None if element is None else element.find('origin')
    if origin is None:
        return {'pos': '0 0 0', 'quat': '1 0 0 0'}
    angles = [float(value) for value in origin.get('rpy', '0 0 0').split()]
    quaternion = ' '.join(f'{value:.9g}' for value in euler2quat(*angles, axes='sxyz'))
    return {'pos': origin.get('xyz', '0 0 0'), 'quat': quaternion}


def _add_joint(body: ElementTree.Element, name: str, kind: str, axis: str) -> None:
    ElementTree.SubElement(
        body, 'joint', name=name, type=kind, axis=axis, armature=str(_ARMATURE), limited='false'
    )


def _add_inertia(body: ElementTree.Element, mass_kg: float) -> None:
    ball = 0.4 * mass_kg * _RADIUS_M**2
    ElementTree.SubElement(
        body, 'inertial', pos='0 0 0', mass=str(mass_kg), diaginertia=f'{ball} {ball} {ball}'
    )

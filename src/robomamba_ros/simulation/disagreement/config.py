"""How a fake arm deviates from its commands: a field for each way, and its text form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from robomamba_ros.common.config_file import Section, refuse
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Joint
from robomamba_ros.simulation.controller_rules import VERSIONS, Rules
from robomamba_ros.simulation.disagreement.drive import Flaws
from robomamba_ros.types import NANOSECONDS


@dataclass(frozen=True)
class Disagreement:
    """What keeps an arm from reaching its commands. The defaults are a perfect arm.

    Distances are radians, for joints that slide metres.
    """

    # --- Joints.
    # Delay of the joints behind a steady motion [s].
    lag_s: float = 0.0
    # 1: a first-order lag; 2: a critically damped second-order one.
    lag_order: int = 1
    # Largest velocity and acceleration of the drives, as shares of the contract's; 0: no limit.
    velocity_share: float = 0.0
    acceleration_share: float = 0.0
    # How far a command must be from a joint at rest to move it [rad].
    friction_rad: float = 0.0
    # Play of the gears [rad].
    backlash_rad: float = 0.0
    # mujoco: masses in MuJoCo, compensated gravity, and position servos with a lag of lag_s, or of
    # 0.02 s where lag_s is 0.
    physics: str = 'none'
    # Force that pulls the end effector down and is not compensated [N]; needs physics: mujoco.
    load_n: float = 0.0

    # --- Controllers.
    # Updates per second [Hz]; 0: the contract's control rate.
    controller_rate_hz: float = 0.0
    # Whose handover between trajectories: a release of joint_trajectory_controller (VERSIONS in
    # controller_rules), or ideal, without a skipped or repeated update.
    controller_version: str = 'ideal'
    # As joint_trajectory_controller's parameter: a new trajectory starts from the last desired
    # state, not from the measured one.
    interpolate_from_desired_state: bool = True
    # How far a moving joint may be from its trajectory before it is held where it is [rad]; 0: any.
    path_tolerance_rad: float = 0.0
    # Share of the time that passes in trajectories, 0 .. 1, as by UR's speed slider.
    speed_scaling: float = 1.0
    # Whether a stop deactivates the controllers; they start again where the arm is at its release.
    # Otherwise they go on while the arm stands, as with a driver that does not notice.
    stop_deactivates: bool = True

    # --- Reports.
    # States per second [Hz]; 0: the contract's control rate.
    state_rate_hz: float = 0.0
    # Time from a measurement to its message [s].
    state_latency_s: float = 0.0
    # Stamp states when they are sent instead of when they were measured, and repeat the last ones
    # where nothing is measured any more (joint_state_publisher).
    restamps: bool = False
    # Report arm and gripper in messages of their own.
    split_states: bool = False
    # Report joints without ends within -pi .. pi.
    wraps: bool = False

    @property
    def rules(self) -> Rules:
        """The rules of the version of joint_trajectory_controller."""
        return VERSIONS[self.controller_version]

    def update_ns(self, arm: ArmContract) -> int:
        """Return the time between two updates of the controllers [ns]."""
        return round(NANOSECONDS / (self.controller_rate_hz or arm.control_rate_hz))

    def flaws(self, joints: tuple[Joint, ...], others: int) -> Flaws:
        """Return those of the drives of joints, and of `others` after them without limits."""
        free = [np.inf] * others

        def most(share: float, limits: list[float]) -> list[float]:
            return [share * limit if share else np.inf for limit in limits] + free

        return Flaws(
            self.lag_s,
            self.lag_order,
            np.array(most(self.velocity_share, [joint.velocity for joint in joints])),
            np.array(most(self.acceleration_share, [joint.acceleration for joint in joints])),
            self.friction_rad,
            self.backlash_rad,
        )


_CHOICES = {'physics': ('none', 'mujoco'), 'controller_version': tuple(VERSIONS)}
_LARGEST = {'speed_scaling': 1.0}


def read_disagreement(text: str | Mapping[str, object]) -> Disagreement:
    """Return the disagreement that `lag_s=0.05,wraps=true` or a mapping says; '' says none.

    Raises ConfigError with every error at once: key, what was found, what is allowed.
    """
    errors: list[str] = []
    given = dict(text) if isinstance(text, Mapping) else _pairs(text, errors)
    section = Section(given, '', errors, (), [field.name for field in fields(Disagreement)])
    values: dict[str, object] = {}
    for field in fields(Disagreement):
        name = field.name
        if not section.has(name):
            continue
        if name in _CHOICES:
            values[name] = section.choice(name, _CHOICES[name])
        elif isinstance(field.default, bool):
            values[name] = section.flag(name)
        else:
            values[name] = _read_number(section, name)
    if values.get('load_n') and values.get('physics') != 'mujoco':
        section.error('load_n', 'it without masses', 'only with physics=mujoco')
    refuse('the disagreement', errors)
    return Disagreement(**values)  # type: ignore[arg-type]


def _read_number(section: Section, name: str) -> float:
    if name == 'lag_order':
        return section.integer(name, 1, most=2)
    value, most = section.number(name), _LARGEST.get(name, np.inf)
    if not 0.0 <= value <= most:
        section.error(name, str(value), f'0..{most:g}' if most < np.inf else '0 or more')
    return value


def _pairs(text: str, errors: list[str]) -> dict[str, object]:
    given: dict[str, object] = {}
    for pair in filter(None, (each.strip() for each in text.split(','))):
        name, sign, value = pair.partition('=')
        name = name.strip()
        if not sign or name in given:
            errors.append(f'{pair!r}: expected name=value with commas between, each name once')
            continue
        given[name] = _value(value.strip())
    return given


def _value(text: str) -> object:
    if text in ('true', 'false'):
        return text == 'true'
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return text

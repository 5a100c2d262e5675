"""Passes the messages of a bag to their consumers, as the nodes' subscriptions would.

It finds the topics that an arm and a policy need, and the clock that the bag runs by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Protocol

from robomamba_ros.bags.arm_streams import ArmStreams, instruction_topic
from robomamba_ros.bags.reader import Bag, Message
from robomamba_ros.bags.topics import INSTRUCTIONS, TEXT, require_topic
from robomamba_ros.errors import ConfigError, DataError, ObservationError, unknown_name
from robomamba_ros.messages.state import nanoseconds
from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.replay.views import CameraViews
from robomamba_ros.robots.arm import ArmContract, Camera
from robomamba_ros.types import RobotState, UInt8Array

CLOCK = '/clock'
TF_STATIC, TF = '/tf_static', 'tf2_msgs/msg/TFMessage'


def needed_topics(arm: ArmContract) -> tuple[str, ...]:
    """Return the topics of an arm that a replay reads, with those that it can do without."""
    topics: list[str | None] = [*arm.inputs.values(), *INSTRUCTIONS, CLOCK, TF_STATIC]
    for camera in arm.cameras:
        topics += [camera.topic, camera.depth_topic, camera.info_topic]
    if arm.urdf is not None:
        topics.append(arm.urdf.topic)
    return tuple(topic for topic in topics if topic is not None)


def recorded_topics(arm: ArmContract) -> tuple[str, ...]:
    """Return what a recording is to hold: what a replay reads, and commands to learn from."""
    commands = (output.topic for output in arm.outputs if not output.action)
    return (*needed_topics(arm), *commands)


class Inputs(Protocol):
    """Takes the values of a bag's messages; stamps [ns]."""

    def on_image(self, camera: str, stamp_ns: int, message: partial[UInt8Array]) -> None:
        """Take an image, which is decoded when called."""

    def on_state(self, state: RobotState) -> None:
        """Take the arm's state."""

    def on_instruction(self, text: str) -> None:
        """Take the task in words."""

    def on_problem(self, error: ObservationError) -> None:
        """Take what is wrong with a message that cannot be used."""


class BagInputs:
    """The streams of a bag that an arm and a policy need.

    instruction: instead of the bag's own. offsets_s: what is added to the stamps of a camera or
    an input of the arm [s]. views: how the cameras see, as far as it was met. kinematics: of an arm
    that gives no poses or takes none. Raises DataError naming a topic that is missing or of another
    type, ConfigError for a camera that the arm contract lacks.
    """

    def __init__(
        self,
        bag: Bag,
        arm: ArmContract,
        spec: PolicySpec,
        instruction: str | None,
        offsets_s: Mapping[str, float] | None = None,
    ) -> None:
        self._bag = bag
        self._instruction = instruction
        cameras = _needed_cameras(arm, spec)
        self._sizes = {camera.name: (camera.height, camera.width) for camera in spec.cameras}
        self._streams = ArmStreams(bag, arm, cameras, offsets_s)
        self.kinematics = self._streams.kinematics
        self.views = CameraViews(arm.base_frame, self.kinematics)
        self._takers: dict[str, Callable[[Message, Inputs], None]] = {
            topic: partial(self._state, stream)
            for stream, topic in self._streams.state_topics.items()
        }
        for camera in cameras:
            self._add_camera(camera)
        self._now_ns: int | None = None
        self._add_instruction()
        frames = bag.topics.get(TF_STATIC)
        if frames is not None and frames.type == TF and not frames.problem:
            self._takers[TF_STATIC] = lambda each, _: self.views.add_frames(each.content)
        self._clock = CLOCK if CLOCK in bag.topics else None
        read = (*self._takers, *([self._clock] if self._clock else []))
        self._count, self._done = sum(bag.topics[topic].count for topic in read), 0

    def _add_camera(self, camera: Camera) -> None:
        self._takers[self._streams.image_topics[camera.name]] = partial(self._image, camera)
        info = self._bag.find(camera.info_topic) if camera.info_topic else None
        if info:
            self._takers[info.name] = partial(self._info, camera)

    def _add_instruction(self) -> None:
        if self._instruction is not None:
            return
        name = instruction_topic(self._bag)
        if name is None:
            raise DataError(
                f'{self._bag.path} has no topic instruction; give one with --instruction'
            )
        self._takers[require_topic(self._bag, name, TEXT)] = self._text

    @property
    def share(self) -> float:
        """The share of the messages that were read, 0..1; times may jump."""
        return min(self._done / max(self._count, 1), 1.0)

    def instants(self) -> Iterator[tuple[int, list[Message]]]:
        """Yield each time [ns] at which something came, with its messages, in order.

        The time is that of /clock where the bag has it, as for nodes with use_sim_time, else that
        of the recording. It goes back where the clock did.
        """
        topics = [*self._takers, *([self._clock] if self._clock else [])]
        now_ns: int | None = None
        group: list[Message] = []
        for message in self._bag.messages(topics):
            self._done += 1
            time_ns = now_ns if self._clock else message.log_ns
            if message.topic == self._clock:
                time_ns = nanoseconds(message.content.clock)
            if now_ns is not None and time_ns is not None and time_ns != now_ns:
                self._now_ns = now_ns
                yield now_ns, group
                group = []
            # What came before the clock began, as a latched instruction does, waits for it.
            now_ns = time_ns
            if message.topic != self._clock:
                group.append(message)
        self._now_ns = now_ns
        if now_ns is not None:
            yield now_ns, group
        self._streams.clocks.finish()

    def deliver(self, message: Message, inputs: Inputs) -> None:
        """Hand what a message says to `inputs`."""
        try:
            self._takers[message.topic](message, inputs)
        except ObservationError as error:
            inputs.on_problem(error)

    def _state(self, stream: str, message: Message, inputs: Inputs) -> None:
        if state := self._streams.state(stream, message, self._now_ns):
            inputs.on_state(state)

    def _image(self, camera: Camera, message: Message, inputs: Inputs) -> None:
        size = self._sizes[camera.name]
        stamp_ns, decode = self._streams.image(camera, message, self._now_ns, size)
        inputs.on_image(camera.name, stamp_ns, decode)

    def _info(self, camera: Camera, message: Message, inputs: Inputs) -> None:
        self.views.add_info(camera, message.content, self._sizes[camera.name])

    def _text(self, message: Message, inputs: Inputs) -> None:
        inputs.on_instruction(message.content.data)


def _needed_cameras(arm: ArmContract, spec: PolicySpec) -> list[Camera]:
    known = {camera.name: camera for camera in arm.cameras}
    for camera in spec.cameras:
        if camera.name not in known:
            kind = f"camera of policy '{spec.name}' in the arm contract '{arm.name}':"
            raise ConfigError(unknown_name(kind, camera.name, known))
    return [known[camera.name] for camera in spec.cameras]

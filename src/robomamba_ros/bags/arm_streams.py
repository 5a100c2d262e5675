"""The streams of a bag that an arm contract names: the arm's state, and images of its cameras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from robomamba_ros.bags.reader import Bag, Message
from robomamba_ros.bags.stream_clocks import StreamClocks
from robomamba_ros.bags.topics import IMAGES, INSTRUCTIONS, STATES, kinematics_of, require_topic
from robomamba_ros.errors import DataError
from robomamba_ros.messages.images import camera_to_rgb
from robomamba_ros.messages.state import StateJoiner
from robomamba_ros.robots.arm import ArmContract, Camera, input_kind
from robomamba_ros.types import RobotState, UInt8Array


class ArmStreams:
    """Reads states and images from the messages of a bag, as the nodes' subscriptions would.

    offsets_s: what is added to the stamps of a camera or an input of the arm, by its name [s].
    kinematics: of an arm that needs it. state_topics, image_topics: by stream and by camera.
    clocks: of all of them. Raises DataError for a bag without messages, and naming a topic that is
    missing or of another type.
    """

    def __init__(
        self,
        bag: Bag,
        arm: ArmContract,
        cameras: Sequence[Camera],
        offsets_s: Mapping[str, float] | None = None,
    ) -> None:
        if not bag.count:
            raise DataError(f'{bag.path} holds no messages: there is nothing to read')
        self.kinematics = kinematics_of(bag, arm)
        self._joiner = StateJoiner(arm, self.kinematics, same_stamp=False)
        self.state_topics = {
            stream: require_topic(bag, topic, STATES[input_kind(stream)])
            for stream, topic in arm.inputs.items()
        }
        self.image_topics = {
            camera.name: require_topic(bag, camera.topic, IMAGES[camera.transport])
            for camera in cameras
        }
        self.clocks = StreamClocks(bag, self.state_topics | self.image_topics, offsets_s)

    def state(self, stream: str, message: Message, now_ns: int | None = None) -> RobotState | None:
        """Return the arm's state with a message of a stream, None while it is incomplete.

        now_ns: time of the bag's /clock, where it has one. Raises ObservationError for a message
        that cannot be used.
        """
        stamp_ns = self.clocks.stamp(stream, message, now_ns)
        return self._joiner.add(stream, message.content, stamp_ns)

    def image(
        self,
        camera: Camera,
        message: Message,
        now_ns: int | None = None,
        size: tuple[int, int] | None = None,
    ) -> tuple[int, partial[UInt8Array]]:
        """Return when an image was taken [ns], and what decodes it to RGB (h, w, 3).

        size: (h, w) that is needed; images of another are made into it where the contract says how.
        """
        stamp_ns = camera.taken_ns(self.clocks.stamp(camera.name, message, now_ns))
        return stamp_ns, partial(camera_to_rgb, message.content, camera, size)


def instruction_topic(bag: Bag) -> str | None:
    """Return the topic of a bag that tells the task in words, None where there is none."""
    for name in INSTRUCTIONS:
        topic = bag.find(name)
        if topic is not None and topic.count:
            return name
    return None

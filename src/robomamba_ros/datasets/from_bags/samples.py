"""The samples of a bag: what an arm contract names, read from its topics, on one clock.

Everything counts as of its stamp; what has none, as of the newest stamp before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from robomamba_ros.bags.arm_streams import ArmStreams, instruction_topic
from robomamba_ros.bags.episode_marks import FLAG, MARK_TYPES, TAKE_OVER, EpisodeMarks
from robomamba_ros.bags.reader import Bag, Message
from robomamba_ros.bags.resampling import Break, Resampler, Sample
from robomamba_ros.bags.services import SUFFIX
from robomamba_ros.bags.state_jumps import StateJumps
from robomamba_ros.bags.topics import INSTRUCTIONS, TEXT, require_topic
from robomamba_ros.errors import ConfigError, DataError, ObservationError, unknown_name
from robomamba_ros.language.instructions import check_text
from robomamba_ros.messages.commands import TYPES, read_command
from robomamba_ros.robots.arm import ArmContract, Camera
from robomamba_ros.types import NANOSECONDS

GAP = 'gap'
# What becomes of the times at which a person had taken over from the policy.
IGNORE, MARK, ONLY = 'ignore', 'mark', 'only'
# Beyond any camera; the way from one message to the next is walked frame by frame.
MOST_FPS = 1000


@dataclass(frozen=True)
class SampleOptions:
    """How a bag becomes samples.

    Raises ConfigError for a rate that is none, and a task that no policy takes.
    """

    # Samples per second [Hz].
    fps: int
    # Names of the cameras; None: all that the bag has.
    cameras: tuple[str, ...] | None = None
    # The task in words; None: as `task_topic` says it.
    task: str | None = None
    # Topic that has the task in words; None: the instruction.
    task_topic: str | None = None
    # GAP, or a topic or service that marks where episodes begin and end.
    episodes_by: str = GAP
    # Where actions come from: command, state, or auto: command where the bag has those to the arm.
    actions: str = 'auto'
    # MARK is for a feature of the data set, ONLY leaves out everything else.
    take_overs: str = IGNORE
    # By camera or input of the arm, what is added to its stamps [s].
    offsets_s: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= MOST_FPS:
            raise ConfigError(
                f'the data set is to have {self.fps} frames per second; give from 1 to {MOST_FPS}'
            )
        if self.task is not None:
            try:
                check_text('task', self.task)
            except ObservationError as error:
                raise ConfigError(str(error)) from None


class BagSamples:
    """The samples of one bag.

    cameras: names of those that are read; image_topics: their topics. clocks: of all streams with
    stamps. commanded: parts whose recorded commands are read, with their topics. kinematics: of an
    arm that needs it. report, problems: what became of the streams, and how often which message
    could not be used. Raises DataError naming a topic that is missing or of another type,
    ConfigError for a camera that the arm contract lacks.
    """

    def __init__(self, bag: Bag, arm: ArmContract, options: SampleOptions) -> None:
        self._bag, self._arm, self._options = bag, arm, options
        self.path = bag.path
        self.problems: Counter[str] = Counter()
        cameras = self._wanted_cameras()
        self._streams = ArmStreams(bag, arm, cameras, options.offsets_s)
        self.kinematics, self.clocks = self._streams.kinematics, self._streams.clocks
        self.image_topics = self._streams.image_topics
        self._jumps = StateJumps(arm)
        self._takers: dict[str, list[Callable[[Message], None]]] = {}
        for stream, topic in self._streams.state_topics.items():
            self._takers.setdefault(topic, []).append(partial(self._state, stream))
        for camera in cameras:
            take = partial(self._image, camera)
            self._takers.setdefault(self.image_topics[camera.name], []).append(take)
        self.cameras = tuple(camera.name for camera in cameras)
        self.commanded = self._add_commands()
        self._marks = EpisodeMarks(
            options.task, marked=options.episodes_by != GAP, corrections=options.take_overs == ONLY
        )
        self._add_task()
        self._add_marks()
        self._add_take_overs()
        self._budgets_ns = {
            stream: round(budget_s * NANOSECONDS) for stream, budget_s in arm.budgets_s.items()
        }
        self._resampler = Resampler(
            round(NANOSECONDS / options.fps),
            {camera.name: round(camera.budget_s * NANOSECONDS) for camera in cameras},
            min(self._budgets_ns.values()),
            tuple(self.commanded),
        )
        self.report = self._resampler.report

    def read(self) -> Iterator[tuple[float, Iterator[Sample | Break]]]:
        """Yield for each message the share of the bag that is read, 0..1, and what is settled."""
        self._resampler.set_label(self._marks.label, taken=self._marks.taken)
        # Not a share of the time, which may jump.
        count = max(sum(self._bag.topics[topic].count for topic in self._takers), 1)
        for number, message in enumerate(self._bag.messages(self._takers)):
            for take in self._takers[message.topic]:
                try:
                    take(message)
                except ObservationError as error:
                    self.problems[f'{message.topic}: {error}'] += 1
            yield min(number / count, 1.0), self._resampler.samples()
        yield 1.0, self._resampler.samples(final=True)
        self.clocks.finish()

    def episode_hint(self, episodes: int) -> str:
        """Return what to know where nothing but gaps parted the episodes, '' where it is plain."""
        if self._options.episodes_by != GAP or episodes != 1:
            return ''
        again = self._marks.repeats
        said = f', though its task was said {again + 1} times' if again else ''
        marks = [
            topic.name
            for topic in self._bag.topics.values()
            if topic.type in MARK_TYPES and topic.type != TEXT and topic.count
        ]
        found = f' (in the bag: {", ".join(marks)})' if marks else ''
        return (
            f'the bag became one episode{said}. If it holds several, name what parts them with '
            f'--episodes-by{found}'
        )

    def _wanted_cameras(self) -> list[Camera]:
        known = {camera.name: camera for camera in self._arm.cameras}
        wanted = self._options.cameras
        for name in wanted or ():
            if name not in known:
                kind = f"camera of the arm contract '{self._arm.name}':"
                raise ConfigError(unknown_name(kind, name, known))
        if wanted is not None:
            return [known[name] for name in dict.fromkeys(wanted)]
        return [
            camera
            for camera in known.values()
            if camera.required or self._bag.find(camera.topic) is not None
        ]

    def _add_commands(self) -> dict[str, str]:
        """Subscribe to the commands of every part, where those to the arm are there and wanted."""
        if self._options.actions == 'state':
            return {}
        topics = {output.part: self._bag.find(output.topic) for output in self._arm.outputs}
        recorded = {
            output.part: output
            for output in self._arm.outputs
            if output.kind in TYPES and (topic := topics[output.part]) and topic.count
        }
        if 'arm' in recorded:
            return {
                part: self._subscribe(each.topic, TYPES[each.kind], partial(self._command, part))
                for part, each in recorded.items()
            }
        if self._options.actions == 'command':
            output = self._arm.output('arm')
            named = f'{output.topic}, of kind {output.kind}' if output else 'nothing'
            raise DataError(
                f'{self._bag.path} has no commands to the arm of a kind that positions '
                f"({', '.join(TYPES)}): the contract '{self._arm.name}' names {named}. Take "
                'actions from the measured motion: --actions state'
            )
        return {}

    def _add_task(self) -> None:
        options = self._options
        if options.task is not None:
            return
        name = options.task_topic or instruction_topic(self._bag)
        if name is None:
            raise DataError(
                f'{self._bag.path} has no topic {" or ".join(INSTRUCTIONS)}: give the task with '
                '--task, or the topic that tells it with --task-topic'
            )
        self._subscribe(name, TEXT, partial(self._mark, self._marks.take_task))

    def _add_marks(self) -> None:
        name = self._options.episodes_by
        if name == GAP:
            return
        topic = self._bag.find(name) or self._bag.find(f'{name}{SUFFIX}')
        if topic is None:
            kind = f'topic or service of {self._bag.path} that marks episodes:'
            marks = [each.name for each in self._bag.topics.values() if each.type in MARK_TYPES]
            raise DataError(unknown_name(kind, name, [GAP, *marks]))
        self._bag.require(topic.name, MARK_TYPES)
        take = partial(self._marks.take_mark, type_=topic.type)
        self._subscribe(topic.name, topic.type, partial(self._mark, take))

    def _add_take_overs(self) -> None:
        if self._options.take_overs == IGNORE:
            return
        if self._bag.find(TAKE_OVER) is None:
            raise DataError(
                f'{self._bag.path} has no topic {TAKE_OVER}: it does not say when a person took '
                'over; `robomamba record --episodes --take-over` records that'
            )
        self._subscribe(TAKE_OVER, FLAG, partial(self._mark, self._marks.take_take_over))

    def _subscribe(self, name: str, type_: str, take: Callable[[Message], None]) -> str:
        topic = require_topic(self._bag, name, type_)
        self._takers.setdefault(topic, []).append(take)
        return topic

    def _mark(self, take: Callable[[Any], None], message: Message) -> None:
        try:
            take(message.content)
        finally:
            self._resampler.set_label(self._marks.label, taken=self._marks.taken)

    def _state(self, stream: str, message: Message) -> None:
        state = self._streams.state(stream, message)
        if state is None:
            return
        for name, stamp_ns in state.stamps.items():
            behind_ns = state.stamp_ns - stamp_ns
            if behind_ns > self._budgets_ns[name]:
                raise ObservationError(f'{name} is more than {self._arm.budgets_s[name]:g} s older')
        self._resampler.add_state(state, self._jumps.check(state))

    def _image(self, camera: Camera, message: Message) -> None:
        stamp_ns, decode = self._streams.image(camera, message)
        self._resampler.add_image(camera.name, stamp_ns, decode)

    def _command(self, part: str, message: Message) -> None:
        now_ns = self._resampler.now_ns or 0
        stamp_ns, command = read_command(message.content, part, self._arm, now_ns)
        self._resampler.add_command(part, stamp_ns, command)

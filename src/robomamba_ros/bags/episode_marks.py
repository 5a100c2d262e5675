"""Which episode a recording is in, by its instructions, start and stop marks, and service calls."""

from __future__ import annotations

from typing import Any

from robomamba_ros.bags.services import SERVICES
from robomamba_ros.errors import ObservationError
from robomamba_ros.language.instructions import check_text

TEXT, FLAG = 'std_msgs/msg/String', 'std_msgs/msg/Bool'
SWITCH = 'std_srvs/srv/SetBool_Event'
CALLS = tuple(f'{service}_Event' for service in SERVICES)
MARK_TYPES = (TEXT, FLAG, *CALLS)
# A Bool: whether a person has taken over from the policy.
TAKE_OVER = 'take_over'


class EpisodeMarks:
    """The label of the present: None outside of episodes, else the episode and its task.

    task: in words, None for the one that take_task tells. marked: whether episodes are marked;
    unmarked, all of the recording is one, but for what breaks it. corrections: whether only what a
    person did who had taken over is any. taken: whether a person has.
    """

    def __init__(self, task: str | None, *, marked: bool, corrections: bool = False) -> None:
        self._task = task
        self._corrections = corrections
        self.taken = False
        # How often the task was said again without a change.
        self.repeats = 0
        self._number: int | None = None if marked else 0
        self._count = 0
        self._said: Any = None
        self._calls: set[tuple[bytes, int]] = set()

    @property
    def label(self) -> tuple[int, str] | None:
        """The episode's number and its task."""
        if self._corrections and not self.taken:
            return None
        return (self._number, self._task) if self._number is not None and self._task else None

    def take_take_over(self, message: Any) -> None:
        """Take whether a person has taken over, a std_msgs/Bool."""
        self.taken = bool(message.data)

    def take_task(self, message: Any) -> None:
        """Take the task in words, a std_msgs/String; an empty one is none.

        Raises ObservationError for one that no policy takes; there is none then.
        """
        said = message.data.strip()
        if said:
            before, self._task = self._task, ''
            check_text('task', said)
            self._task = before
        self.repeats += bool(said) and said == self._task
        self._task = said

    def take_mark(self, message: Any, type_: str) -> None:
        """Take a mark, of one of MARK_TYPES.

        A String begins an episode with every other text and ends it with an empty one; a Bool and
        a call of a SetBool begin and end them; a call of a Trigger or of an Empty ends one and
        begins the next. Raises ObservationError for a call whose contents were not recorded.
        """
        if type_ in CALLS:
            call = (bytes(message.info.client_gid), int(message.info.sequence_number))
            # A call is recorded where it is sent and where it is received; answers do not count.
            if message.info.event_type > message.info.REQUEST_RECEIVED or call in self._calls:
                return
            self._calls.add(call)
            if type_ != SWITCH:
                self._begin()
                return
            if not message.request:
                raise ObservationError(
                    'a call of a SetBool was recorded without its contents; set the introspection '
                    'of the service to contents when recording'
                )
            said = bool(message.request[0].data)
        else:
            said = message.data.strip() if type_ == TEXT else bool(message.data)
        if said != self._said:
            self._said = said
            if said:
                self._begin()
            else:
                self._number = None

    def _begin(self) -> None:
        self._count += 1
        self._number = self._count

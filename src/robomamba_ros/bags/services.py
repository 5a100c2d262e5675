"""The types of the events of standard services, as `ros2 bag record` stores them.

A bag stores no definition of them that can be used. Source: service_msgs/ServiceEventInfo and the
.srv files of std_srvs.
"""

from __future__ import annotations

from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import get_types_from_msg

SUFFIX = '/_service_event'
# ROS 2 gives a message without fields this one.
_EMPTY = 'uint8 structure_needs_at_least_one_member'
_ANSWER = 'bool success\nstring message'
# Request and response.
SERVICES = {
    'std_srvs/srv/SetBool': ('bool data', _ANSWER),
    'std_srvs/srv/Trigger': (_EMPTY, _ANSWER),
    'std_srvs/srv/Empty': (_EMPTY, _EMPTY),
}
INFO = (Nodetype.NAME, 'service_msgs/msg/ServiceEventInfo')


def event_types() -> dict[str, Any]:
    """Return the definitions of `<service>_Event` and its parts, for a store of types."""
    types: dict[str, Any] = {}
    for service, texts in SERVICES.items():
        fields: list[tuple[str, Any]] = [('info', INFO)]
        for part, text in zip(('Request', 'Response'), texts, strict=True):
            name = f'{service}_{part}'
            [types[name]] = get_types_from_msg(text, name).values()
            # None or one: a client may be asked to tell only that it called.
            fields.append((part.lower(), (Nodetype.SEQUENCE, ((Nodetype.NAME, name), 1))))
        types[f'{service}_Event'] = ([], fields)
    return types

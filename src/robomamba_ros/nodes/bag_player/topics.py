"""The topics of a bag as topics of ROS: which are meant, their types, what readers are offered.

For nodes that pass messages on as bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from robomamba_ros.bags.definitions import is_installed
from robomamba_ros.bags.reader import Bag, Topic
from robomamba_ros.errors import BackendError

# A late joiner of a latched topic gets so many messages, whoever published them when recorded.
DEPTH = 100


def message_class(type_: str) -> Any:
    """Return the class of a type such as `std_msgs/msg/String`.

    Raises BackendError where its package is not installed, or where it is no message.
    """
    package, _, rest = type_.partition('/')
    kind, _, name = rest.partition('/')
    if kind != 'msg' or not name:
        raise BackendError(f"'{type_:.100}' is no type of messages")
    # Whoever recorded a bag, or publishes, chose this name: it must not import any other module.
    if not is_installed(type_):
        raise BackendError(
            f"no package that is installed defines '{type_:.100}'; install the package "
            f"'{package:.80}', or source the workspace that has it"
        )
    try:
        return getattr(import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError) as error:
        raise BackendError(f"the package '{package}' has no Python for '{type_}'") from error


def named_topics(bag: Bag, names: str, node: Node) -> list[Topic]:
    """Return the topics of names between spaces, in the node's namespace or in any other.

    Raises DataError for one that is missing, or that several topics may be.
    """
    found = []
    for name in names.split():
        full = node.resolve_topic_name(name, only_expand=True)
        topic = bag.topics.get(full) or bag.find(name)
        found.append(topic or bag.require(full, []))
    return found


def means(topic: str, name: str) -> bool:
    """Return whether a name means a topic; without a leading / it does under any namespace."""
    return topic == name or (not name.startswith('/') and topic.endswith(f'/{name}'))


def played_topics(bag: Bag, names: str, left_out: Sequence[str], node: Node) -> list[Topic]:
    """Return the topics of a bag that a node is to play: those of names, all where there are none.

    left_out: names of those that it is not. A topic that a remapping gives the name of another one
    stands in for it where that has no messages, as the instruction of a launch argument does; both
    would reach its readers twice. Raises DataError as named_topics does.
    """
    chosen = named_topics(bag, names, node) or bag.topics.values()
    topics = [each for each in chosen if not any(means(each.name, name) for name in left_out)]
    becomes = {each.name: node.resolve_topic_name(each.name) for each in topics}
    own = {each.name for each in topics if each.count and becomes[each.name] == each.name}
    doubled = {name: new for name, new in becomes.items() if name != new and new in own}
    for name, new in doubled.items():
        node.get_logger().info(f'{name} is left out: the bag has {new} itself')
    return [each for each in topics if each.name not in doubled]


def offer_to_readers(topic: Topic) -> QoSProfile:
    """Return an offer that satisfies every reader whom one of the recorded offers did."""
    offers = topic.offers
    reliable = not offers or any(offer.reliability == 'reliable' for offer in offers)
    latched = any(offer.durability == 'transient_local' for offer in offers)
    return QoSProfile(
        depth=max(DEPTH, *(offer.depth for offer in offers), 0),
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )

"""What the installed rclpy tells a callback about the message that it is given."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rclpy.subscription import Subscription

# From Iron on rclpy tells when a message was sent and when the middleware received it.
KNOWS_RECEPTION = hasattr(Subscription, 'CallbackType')


def with_info(callback: Callable[..., None]) -> Callable[..., None]:
    """Return callback(message, info) as a subscription takes it; before Iron info is None."""
    return callback if KNOWS_RECEPTION else partial(callback, info=None)

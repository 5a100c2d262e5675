"""Joins ROS and leaves it, for programs that do; what ROS refuses is one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import rclpy
from rclpy.exceptions import NameValidationException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from robomamba_ros.errors import BackendError

# Of a name that is none, an argument or an enclave that cannot be used, a middleware that fails.
Refused = (
    rclpy_implementation.RCLError,
    rclpy_implementation.UnknownROSArgsError,
    NameValidationException,
)


@contextmanager
def refusals_named(what: str) -> Iterator[None]:
    """Raise BackendError in one line where ROS refuses `what`."""
    try:
        yield
    except Refused as error:
        raise BackendError(f'ROS refuses {what}: {" ".join(str(error).split())}') from error


@contextmanager
def ros_joined(arguments: Sequence[str] = (), *, handle_signals: bool = False) -> Iterator[None]:
    """Initialise rclpy and shut it down; raises BackendError where ROS refuses.

    handle_signals: whether Ctrl-C and SIGTERM end the context, as rclpy has it.
    """
    options = SignalHandlerOptions.ALL if handle_signals else SignalHandlerOptions.NO
    with refusals_named('this process'):
        rclpy.init(args=list(arguments), signal_handler_options=options)
    try:
        with refusals_named('what is asked of it'):
            yield
    finally:
        # A signal may have ended it already.
        try_shutdown()

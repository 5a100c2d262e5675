"""What the installed executables call: where a package cannot be imported, one line says so."""

from __future__ import annotations

import os
import signal
import sys
import threading
from importlib import import_module
from typing import NoReturn

from robomamba_ros.errors import RoboMambaError

# What a command that Ctrl-C ended returns.
INTERRUPTED = 130


def robomamba() -> NoReturn:
    """Run the command line."""
    _run('cli.main')


def policy_node() -> NoReturn:
    """Run the policy node."""
    _run('nodes.policy.policy_node')


def controller_node() -> NoReturn:
    """Run the controller node."""
    _run('nodes.controller.controller_node')


def sim_node() -> NoReturn:
    """Run the simulated arm."""
    _run('nodes.sim.sim_node')


def fake_arm_node() -> NoReturn:
    """Run the stand-in for an arm."""
    _run('nodes.fake_arm.fake_arm_node')


def bag_player_node() -> NoReturn:
    """Run the player of recordings."""
    _run('nodes.bag_player.bag_player_node')


def _run(module: str) -> NoReturn:
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        # Seconds of imports, in which a KeyboardInterrupt would be a traceback through any of them.
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        main = import_module(f'robomamba_ros.{module}').main
    except RoboMambaError as error:
        sys.exit(str(error))
    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    status = main()
    threads = [each for each in threading.enumerate() if each is not threading.main_thread()]
    if status == INTERRUPTED and not all(each.daemon for each in threads):
        # A policy still loads in a thread of its own: Python's own way out would wait for it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)

"""Services that stop a fake arm, move it, block it and switch its controllers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from std_srvs.srv import SetBool, Trigger

from robomamba_ros.errors import ActionError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.simulation.fake_arm import STOPS, FakeArm
from robomamba_ros.simulation.other_commander import command_elsewhere

# How far a hand, or another commander, moves the arm's second joint [rad or m], and how fast [s].
WAY, SECONDS = 0.3, 1.0


class FakeArmEvents:
    """`~/<event>` of a node: SetBool for what lasts, Trigger for what happens once.

    emergency_stop, protective_stop: close the brakes, or release them. controllers: switch all on
    or off. blocked: something is in the way of every joint but the gripper's. measuring: whether
    joints are measured. hand: frees the arm and moves it by hand. other_commander: somebody else
    commands it. now_ns: the time.
    """

    def __init__(
        self, node: Any, arm: ArmContract, fake: FakeArm, now_ns: Callable[[], int]
    ) -> None:
        self._node, self._arm, self._fake, self._now_ns = node, arm, fake, now_ns
        # A joint other than the first one: a first one may be a lift that does not show.
        names = arm.names_of('arm')
        self._way = {names[min(1, len(names) - 1)]: WAY}
        self._parts = [output.part for output in arm.outputs if output.part != 'gripper']
        for kind in STOPS:
            self._switch_service(kind, self._stop(kind))
        self._switch_service('controllers', self._switch)
        self._switch_service('blocked', self._block)
        self._switch_service('measuring', self._measure)
        self._trigger_service('hand', self._move_by_hand)
        self._trigger_service('other_commander', self._command_from_elsewhere)

    def _switch_service(self, name: str, do: Callable[[bool], None]) -> None:
        def on_request(request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
            self._fake.advance(self._now_ns())
            do(request.data)
            response.success = True
            return response

        self._node.create_service(SetBool, f'~/{name}', on_request)

    def _trigger_service(self, name: str, do: Callable[[], None]) -> None:
        def on_request(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            self._fake.advance(self._now_ns())
            try:
                do()
                response.success = True
            except ActionError as error:
                response.message = str(error)
            return response

        self._node.create_service(Trigger, f'~/{name}', on_request)

    def _stop(self, kind: str) -> Callable[[bool], None]:
        def stop(closed: bool) -> None:
            if closed:
                self._fake.stop(kind)
            elif self._fake.stopped == kind:
                self._fake.release()

        return stop

    def _switch(self, active: bool) -> None:
        if active:
            self._fake.activate()
        else:
            self._fake.deactivate()

    def _block(self, blocked: bool) -> None:
        self._fake.blocked = set(self._parts) if blocked else set()

    def _measure(self, measuring: bool) -> None:
        self._fake.reports.dead = not measuring

    def _move_by_hand(self) -> None:
        self._fake.deactivate()
        self._fake.move_by_hand(self._way, SECONDS)

    def _command_from_elsewhere(self) -> None:
        command_elsewhere(self._fake, self._arm, self._way, SECONDS)

"""Checks of the commands: whether one controller listens, to us alone, for the same joints."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from robomamba_ros.doctor.facts import JOINT_STATE, Facts, Topic, Wanted, wanted_output
from robomamba_ros.doctor.finding import Finding, fault, note, ok
from robomamba_ros.doctor.streams import check_types
from robomamba_ros.robots.controller_settings import problems_of
from robomamba_ros.robots.parts import ACTIONS, Output


def check_outputs(facts: Facts) -> Iterator[Finding]:
    """Yield what there is to say about the controllers of all parts."""
    for output in facts.arm.outputs:
        wanted = wanted_output(output)
        topic = facts.topics[wanted.name]
        if output.action:
            yield _check_action(output, wanted, topic, facts)
            continue
        yield from _check_readers(wanted, topic, facts)
        yield from _check_other_publishers(wanted, topic)
        yield from _check_settings(output, topic, facts)
    for writer in facts.topics['instruction'].writers:
        if writer.mismatch:
            yield note(
                'instruction: QoS',
                f'{writer.node} publishes the instruction otherwise than it is read: '
                f'{writer.mismatch}',
                'publish it reliable, as `ros2 topic pub` does',
            )


def _check_readers(wanted: Wanted, topic: Topic, facts: Facts) -> Iterator[Finding]:
    about = f'{wanted.stream}: controller'
    readers = tuple(reader for reader in topic.readers if not is_controller(reader.node))
    if not readers:
        read = [name for name, types in facts.read.items() if wanted.type in types]
        near = difflib.get_close_matches(topic.name, read, n=3, cutoff=0.3)
        hint = f'; {wanted.type} is on {", ".join(near)}' if near else ''
        yield fault(
            about,
            f'nobody listens on {topic.name}{hint}',
            'start and activate the controller (`ros2 control list_controllers`), or name its '
            'topic in the arm contract',
        )
        return
    yield from check_types(about, wanted, topic, readers)
    for reader in readers:
        if reader.mismatch:
            yield fault(
                f'{wanted.stream}: QoS',
                f'{reader.node} asks for more than controller_node offers: {reader.mismatch}',
                'let the controller read reliable and volatile',
            )
    if all(reader.type == wanted.type and not reader.mismatch for reader in readers):
        yield ok(about, f'{", ".join(reader.node for reader in readers)} on {topic.name}')


def _check_other_publishers(wanted: Wanted, topic: Topic) -> Iterator[Finding]:
    ours = [writer.node for writer in topic.writers if is_controller(writer.node)]
    others = [writer.node for writer in topic.writers if not is_controller(writer.node)]
    if len(ours) > 1 or len(others) >= wanted.publishers:
        yield fault(
            f'{wanted.stream}: publishers',
            f'{topic.name} is commanded by {", ".join((*ours, *others))}',
            'end them: commands of two publishers mix, and the arm jumps between them',
        )


def is_controller(node: str) -> bool:
    """Return whether a node is a controller_node by its name; it reads what it sends."""
    return node.rpartition('/')[2] == 'controller_node'


def _check_action(output: Output, wanted: Wanted, topic: Topic, facts: Facts) -> Finding:
    about, servers = f'{wanted.stream}: controller', facts.actions.get(topic.name, ())
    if len(servers) > 1:
        found = f'{", ".join(server.node for server in servers)} all serve {topic.name}'
        return fault(about, found, 'end all but one')
    if servers and servers[0].type != output.action:
        return fault(
            about,
            f'{servers[0].node} serves {topic.name} as {servers[0].type}; the kind {output.kind} '
            f'sends goals of {output.action}',
            _other_kind(output, servers[0].type),
        )
    if servers:
        return ok(about, f'{servers[0].node} serves {topic.name}')
    if any(reader.type == JOINT_STATE for reader in topic.readers):
        return note(
            about,
            f'no action server on {topic.name}; {topic.readers[0].node} takes a JointState there',
            "a fake arm does so: controller_node needs its parameter 'gripper_output' to be "
            "'joint_state'",
        )
    return fault(
        about,
        f'nobody serves the action {topic.name}',
        'start the gripper driver, or name its action in the arm contract',
    )


def _other_kind(output: Output, served: str) -> str:
    """Return what to do where an action is served as another type than the contract says."""
    for kind, action in ACTIONS.items():
        if action == served:
            return (
                f'write in outputs of the arm contract: {{part: {output.part}, kind: {kind}, '
                f'topic: {output.topic}, max_effort: {output.max_effort}}}'
            )
    return f'name an action of {output.action} in the arm contract, or start its driver'


def _check_settings(output: Output, topic: Topic, facts: Facts) -> Iterator[Finding]:
    """Yield whether limits hold by the settings of the controllers, by the rule of the nodes."""
    readers = {
        reader.node: facts.parameters.get(reader.node, {})
        for reader in topic.readers
        if not is_controller(reader.node)
    }
    problems = problems_of(output, topic.name, readers, facts.arm)
    for problem in problems:
        yield fault(f'{output.name}: {problem.about}', problem.found, problem.remedy)
    moving = [node for node, settings in readers.items() if settings.get('joints')]
    if moving and not any(problem.about == 'joints' for problem in problems):
        yield ok(f'{output.name}: joints', f'{", ".join(moving)} moves the same joints')

"""`robomamba demo`: a trained policy drives the simulated Sawyer over ROS 2 topics.

Starts the graph, runs one episode after the other as any client would, and writes a report.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robomamba_ros.cli.tasks import check_instructions

if TYPE_CHECKING:
    from robomamba_ros.nodes.clients.episode_runner import EpisodeResult
    from robomamba_ros.nodes.clients.run_recorder import Recording
    from robomamba_ros.reports.report import EpisodeReport
    from robomamba_ros.types import UInt8Array

# Tasks that pull, press, turn and slide, and one that aims at a point in the air.
DEMO_TASKS = ('drawer-open', 'button-press-topdown', 'door-open', 'window-close', 'reach')
CHECKPOINT = 'anolevla-mt10'
CAMERA_RATE_HZ = 20.0
STRIP_IMAGES = 8
# What a run recorder sees of a start, as the report names it.
MILESTONES = {'image': 'simulation up', 'chunk': 'first chunk', 'motion': 'first motion'}


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'demo',
        help='drive the simulated Sawyer over ROS 2 and write a report',
        description='Starts simulation, policy and controller as ROS 2 nodes, sends each task as '
        'an instruction, and writes a report with pictures. Exits 1 where an episode fails.',
    )
    parser.add_argument('--policy', default=CHECKPOINT, help='checkpoint (default: %(default)s)')
    parser.add_argument('--tasks', nargs='+', default=list(DEMO_TASKS), metavar='TASK')
    parser.add_argument('--seed', type=int, default=1, help="of the objects' places (default: 1)")
    parser.add_argument('--mode', choices=('realtime', 'lockstep'), default='realtime')
    parser.add_argument('--output', type=Path, default=Path('out/demo'))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the episodes, print what happened, write the report."""
    # The demo talks to itself only, whatever else is on its network.
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    from datetime import datetime, timezone

    import numpy as np

    from robomamba_ros.bringup.graph import PolicyOptions, SimOptions, sim_graph
    from robomamba_ros.common.milestones import Milestones
    from robomamba_ros.nodes.clients.run_recorder import RunRecorder
    from robomamba_ros.nodes.clients.simulated_graph import simulated_graph
    from robomamba_ros.nodes.policy.policy_node import load_checkpoint
    from robomamba_ros.policies.base import ChunkPolicy, LoadOptions
    from robomamba_ros.policies.timed import TimedPolicy
    from robomamba_ros.reports.report import RunReport, this_machine, write_json, write_report
    from robomamba_ros.simulation.metaworld import CAMERA

    start = Milestones()
    # Before anything is loaded: a refusal would come after the start of three nodes.
    check_instructions(args.policy, args.tasks)
    start.reach('modules imported')
    output: Path = args.output
    options = PolicyOptions(args.policy, mode=args.mode, enabled=True)
    specs = sim_graph(options, SimOptions(args.tasks[0], args.seed, CAMERA_RATE_HZ))
    policies: list[TimedPolicy] = []
    recorders: list[RunRecorder] = []

    def load(directory: Path, options: LoadOptions) -> ChunkPolicy:
        policies.append(TimedPolicy(load_checkpoint(directory, options)))
        start.reach('policy loaded')
        # Here and not in the node, so that the two are told apart: it compiles.
        policies[0].warm_up()
        start.reach('policy compiled')
        return policies[0]

    def recorder() -> RunRecorder:
        recorders.append(RunRecorder(CAMERA))
        return recorders[0]

    print(f'{"task":24}{"success":>8}{"steps":>7}{"inference p50 / p99":>24}', end='')
    print(f'{"observation to command":>26}')
    episodes, inference_s, command_s = [], [], []
    with simulated_graph(specs, extra=[recorder], load=load) as runner:
        for task in args.tasks:
            result = runner.run(task, args.seed)
            recording = recorders[0].take(result.begin_ns, result.end_ns)
            durations = policies[0].latencies['inference'].durations
            inference_s.append(durations)
            command_s.append(recording.observation_to_command_s)
            episodes.append(_episode(result, recording, output))
            print(f'{task:24}{"yes" if result.success else "NO":>8}{result.steps:7}', end='')
            print(f'{_spread(durations):>24}{_spread(command_s[-1]):>26}', flush=True)
    for milestone, name in MILESTONES.items():
        if milestone in recorders[0].first_s:
            start.reach(name, recorders[0].first_s[milestone])
    report = RunReport(
        title='AnoleVLA drives a simulated Sawyer over ROS 2',
        machine=this_machine(),
        command=f'robomamba {" ".join(sys.argv[1:])}',
        created=datetime.now(timezone.utc).isoformat(timespec='seconds'),
        policy=args.policy,
        parameters={
            'mode': args.mode,
            'camera rate': f'{CAMERA_RATE_HZ:g} Hz',
            'actions per inference': str(specs[-1].parameters['execute_steps']),
        },
        episodes=tuple(episodes),
        inference_ms=1e3 * np.concatenate(inference_s),
        observation_to_command_ms=1e3 * np.concatenate(command_s),
        start_s=start.stages_s(MILESTONES['motion']),
    )
    if report.start:
        print(f'start to first motion: {report.start}')
    for name, spread in (
        ('inference', _spread(np.concatenate(inference_s))),
        ('observation to command', _spread(np.concatenate(command_s))),
    ):
        print(f'{name}, p50 / p99 over all: {spread}')
    write_report(output / 'report.html', report)
    write_json(output / 'report.json', report)
    print(f'{report.total.successes} of {report.total.trials} episodes succeeded; ', end='')
    print(f'report: {output / "report.html"}')
    return 0 if report.total.successes == report.total.trials else 1


def _spread(seconds: Any) -> str:
    import numpy as np

    if len(seconds) == 0:
        return 'none'
    p50, p99 = 1e3 * np.percentile(seconds, (50, 99))
    return f'{p50:.1f} / {p99:.1f} ms'


def _episode(result: EpisodeResult, recording: Recording, output: Path) -> EpisodeReport:
    """Return an episode for the report, its video written beside it."""
    import numpy as np

    from robomamba_ros.evaluation.video import SUFFIX, write_video
    from robomamba_ros.reports.report import EpisodeReport
    from robomamba_ros.simulation.metaworld import DT_NS
    from robomamba_ros.simulation.tasks import known_tasks

    video = None
    strip: list[tuple[str, UInt8Array]] = []
    if recording.images:
        video = output / f'{result.task}{SUFFIX}'
        write_video(video, _pictures(recording), CAMERA_RATE_HZ)
        picks = np.linspace(0, len(recording.images) - 1, STRIP_IMAGES).round().astype(int)
        for time_s, image in (recording.images[i] for i in dict.fromkeys(picks.tolist())):
            strip.append((f'{max(time_s, 0.0):.1f} s', image))
    return EpisodeReport(
        task=result.task,
        instruction=known_tasks()[result.task].instruction,
        seed=result.seed,
        success=result.success,
        steps=result.steps,
        sim_seconds=result.steps * DT_NS * 1e-9,
        images=tuple(strip),
        video=video,
        time=recording.time,
        commanded=recording.commanded,
        measured=recording.measured,
        gripper=recording.gripper,
        chunk_times=recording.chunk_times,
    )


def _pictures(recording: Recording) -> Iterator[UInt8Array]:
    """Yield the images, the last one for half a second more."""
    images = [image for _, image in recording.images]
    yield from images
    yield from images[-1:] * int(CAMERA_RATE_HZ / 2)

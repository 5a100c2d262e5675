"""`robomamba replay`: a policy on a rosbag, without ROS and without an arm."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from robomamba_ros.cli.bag_options import add_offset, add_unpacking, unpacked_bytes
from robomamba_ros.cli.load_options import add_load_options, load_options
from robomamba_ros.cli.ros_distro import add_ros_distro
from robomamba_ros.errors import ConfigError


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'replay',
        help='run policies on a rosbag and compare them with what was recorded',
        description='Runs policies on a recording through the control code of a live arm, by the '
        "bag's own clock, and writes what they would have sent, and a report. Exits 1 where a "
        'threshold is crossed.',
    )
    parser.add_argument('bag', type=Path, help='a folder of rosbag2, or one .mcap or .db3 file')
    parser.add_argument(
        '--policy',
        action='append',
        required=True,
        metavar='DIR',
        help='a checkpoint directory or a name in models/; several are compared',
    )
    parser.add_argument('--arm', required=True, help='the arm contract, by name or path')
    parser.add_argument('--instruction', metavar='TEXT', help="instead of the bag's own")
    parser.add_argument(
        '--execute-steps', type=int, metavar='N', help="actions per inference (the policy's own)"
    )
    latency = parser.add_mutually_exclusive_group()
    latency.add_argument(
        '--latency-ms', type=float, default=0.0, metavar='X', help='of an inference (%(default)s)'
    )
    latency.add_argument(
        '--latency-from', type=Path, metavar='JSON', help='as a report.json of a replay measured it'
    )
    parser.add_argument(
        '--fail-if',
        action='append',
        default=[],
        metavar='CONDITION',
        help="a figure of the report and a limit, such as 'action_l1>0.02'; may be repeated",
    )
    add_offset(parser)
    add_unpacking(parser)
    add_ros_distro(parser)
    add_load_options(parser)
    parser.add_argument('--output', type=Path, default=Path('out/replay'), metavar='DIR')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay with a progress bar, write predictions and report, and judge."""
    import gc
    import sys
    import time
    from datetime import datetime, timezone

    from tqdm import tqdm

    from robomamba_ros.bags.distributions import ros_distro
    from robomamba_ros.bags.reader import Bag
    from robomamba_ros.bags.writer import BagWriter
    from robomamba_ros.policies.base import fake_observation
    from robomamba_ros.policies.registry import load_chunk_policy
    from robomamba_ros.replay.latency import fixed_latency, read_latency
    from robomamba_ros.replay.metrics import parse_threshold
    from robomamba_ros.replay.page import write_page
    from robomamba_ros.replay.predictions import Predictions
    from robomamba_ros.replay.report import PolicyReport, ReplayReport, describe_bag, write_json
    from robomamba_ros.replay.run import Replay
    from robomamba_ros.reports.data import this_machine
    from robomamba_ros.robots.arm import load_arm

    thresholds = tuple(parse_threshold(text) for text in args.fail_if)
    distro = ros_distro(args.ros_distro)
    latency = read_latency(args.latency_from) if args.latency_from else None
    latency = latency or fixed_latency(args.latency_ms)
    arm = load_arm(args.arm)
    _refuse_own_folder(args.bag, args.output)
    policies = []
    with Bag(args.bag, most_unpacked=unpacked_bytes(args)) as bag:
        for label, directory in zip(_labels(args.policy), args.policy, strict=True):
            policy = load_chunk_policy(directory, load_options(args))
            # The first inference compiles; a live policy has done that before it is needed.
            policy.infer(fake_observation(policy.spec))
            single = len(args.policy) == 1
            name = 'predictions.mcap' if single else f'predictions-{label}.mcap'
            with BagWriter(args.output / name, distro) as writer:
                replay = Replay(
                    bag,
                    arm,
                    policy,
                    Predictions(writer, arm.base_frame),
                    stopwatch=time.perf_counter,
                    instruction=args.instruction,
                    execute_steps=args.execute_steps,
                    latency=latency,
                    offsets_s=dict(args.offset),
                )
                report = PolicyReport(label, policy.spec.action_names, replay)
                for threshold in thresholds:  # before the work, not after it
                    threshold.value(report.figures)
                gc.freeze()  # what there is so far stays: collections need not go through it
                with tqdm(total=1.0, desc=label, bar_format=BAR) as bar:
                    replay.run(partial(_show, bar))
            policies.append(report)
        found = ReplayReport(
            title=f'Replay of {args.bag.name}',
            created=datetime.now(timezone.utc).isoformat(timespec='seconds'),
            command=f'robomamba {" ".join(sys.argv[1:])}',
            machine=this_machine(),
            bag=describe_bag(bag),
            parameters=_parameters(args, policies[0].replay.execute_steps),
            policies=tuple(policies),
            thresholds=thresholds,
        )
    write_json(args.output / 'report.json', found)
    write_page(args.output / 'report.html', found)
    _print(found, args.output)
    return 0 if found.passed else 1


BAR = '{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}'


def _show(bar: Any, share: float) -> None:
    bar.update(share - bar.n)


def _refuse_own_folder(bag: Path, output: Path) -> None:
    """Raise ConfigError where what is written would replace the recording or become part of it."""
    folder = bag if bag.is_dir() else bag.parent
    listed = (folder / 'metadata.yaml').is_file()
    recorded = bag.is_dir() or listed or bag.name.startswith('predictions')
    if recorded and output.resolve() == folder.resolve():
        raise ConfigError(f'{output} is the folder of the recording; give another --output')


def _labels(directories: list[str]) -> list[str]:
    """Return a name for each policy: that of its directory, numbered where it comes again."""
    names = [Path(directory).name for directory in directories]
    return [
        f'{name}-{names[: i + 1].count(name)}' if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def _parameters(args: argparse.Namespace, execute_steps: int) -> dict[str, str]:
    latency = str(args.latency_from) if args.latency_from else f'{args.latency_ms:g} ms'
    return {
        'Bag': str(args.bag),
        'Arm': args.arm,
        'Instruction': args.instruction or "the bag's own",
        'Actions per inference': str(execute_steps),
        'Simulated latency': latency,
    }


def _print(report: Any, output: Path) -> None:
    for warning in report.bag['warnings']:
        print(f'warning: {warning}')
    for policy in report.policies:
        for remark in policy.replay.trace.remarks.most_common():
            print(f'warning: {policy.label}: {remark}')
        figures = policy.figures
        print(
            f'{policy.label}: {figures["chunks"]:.0f} chunks, {figures["stalls"]:.0f} stalls, '
            f'action_l1 {figures["action_l1"]:.4g}, '
            f'inference p50 {figures["inference_ms.p50"]:.1f} ms'
        )
    for verdict in report.verdicts:
        word = 'CROSSED' if verdict.crossed else 'held'
        print(f'{verdict.label}: {verdict.threshold} {word}, measured {verdict.value:.4g}')
    print(f'report: {output / "report.html"}')

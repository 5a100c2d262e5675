"""`robomamba evaluate`: success of a policy in simulation, with intervals."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from robomamba_ros.cli.load_options import add_load_options, load_options
from robomamba_ros.cli.tasks import add_task_options, check_instructions, choose_tasks
from robomamba_ros.errors import ConfigError
from robomamba_ros.policies.location import checkpoint_directory

if TYPE_CHECKING:
    from robomamba_ros.evaluation.metaworld import EvaluationConfig, Job, Outcome


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'evaluate',
        help='measure the success of a policy in simulation',
        description='Runs a policy on simulated tasks, on seeds that no training data has, '
        'through the same control loops as on a robot.',
    )
    parser.add_argument(
        '--graph',
        action='store_true',
        help='through the ROS 2 nodes in lockstep, one episode after the other, instead of in '
        'process on several cores',
    )
    parser.add_argument('policy', help='a checkpoint directory, for example models/anolevla-mt10')
    add_task_options(parser)
    parser.add_argument('--episodes', type=int, default=20, help='per task (default: 20)')
    parser.add_argument(
        '--first-seed',
        type=int,
        default=5000,
        metavar='N',
        help="of a task's episodes (default: 5000); take others to judge a policy that was "
        'chosen by its results on these',
    )
    parser.add_argument(
        '--execute-steps',
        type=int,
        metavar='N',
        help="actions run per inference (default: the checkpoint's execute_steps)",
    )
    parser.add_argument(
        '--latency-steps', type=int, default=0, help='control periods an inference takes'
    )
    parser.add_argument(
        '--perturb',
        nargs='+',
        metavar='NAME',
        help='again under changes that no demonstration shows, one at a time, by name or all: '
        'light, noise, blur, compression, a touched camera, another table, things on it, another '
        'start, latency, other words',
    )
    add_load_options(parser)
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        '--output',
        type=Path,
        metavar='FILE',
        help='write the results there as JSON, after every episode; the same command continues '
        'them, and other tasks and more episodes are added',
    )
    parser.add_argument(
        '--videos',
        type=Path,
        metavar='DIR',
        help='film the first failure of every task, and the first success of every group, which '
        'are run again for it',
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate with a progress bar, and print the tables."""
    from robomamba_ros.evaluation.metaworld import EvaluationConfig, episodes_to_film, film
    from robomamba_ros.evaluation.perturbations import NONE, choose_perturbations
    from robomamba_ros.evaluation.success import perturbation_table, tables
    from robomamba_ros.policies.registry import describe_policy, require_chunks
    from robomamba_ros.simulation.catalog import arm_of

    if args.perturb and args.graph:
        raise ConfigError('--perturb is for evaluation in process, without --graph')
    names = choose_perturbations(args.perturb or ())
    policy = str(checkpoint_directory(args.policy))
    require_chunks(policy)
    steps = args.execute_steps
    tasks = choose_tasks(args.tasks, args.robot)
    config = EvaluationConfig(
        policy=policy,
        tasks=tasks,
        arm=arm_of(tasks[0]),
        execute_steps=describe_policy(policy).spec.execute_steps if steps is None else steps,
        episodes=args.episodes,
        latency_steps=args.latency_steps,
        first_seed=args.first_seed,
        load=load_options(args),
    )
    check_instructions(policy, config.tasks, config.load.instructions, ', or --instructions any')
    found = {name: _outcomes(replace(config, perturbation=name), args) for name in names}
    print(tables(found[NONE]))
    if args.perturb:
        print(f'\n{perturbation_table(found)}')
    print(f'\n{config.episodes} episodes a task, seeds from {config.first_seed}, ', end='')
    print(f'{config.execute_steps} actions executed per inference', end='')
    print(f', each {config.latency_steps} periods late' if config.latency_steps else '')
    for name, outcomes in found.items() if args.videos else ():
        changed, folder = replace(config, perturbation=name), args.videos
        folder = folder if name == NONE else folder / name
        for path in film(changed, episodes_to_film(outcomes), folder, args.workers):
            print(path, flush=True)
    return 0


def _outcomes(config: EvaluationConfig, args: argparse.Namespace) -> list[Outcome]:
    """Return the outcomes of a configuration, with a progress bar; what is there is not run."""
    from tqdm import tqdm

    from robomamba_ros.evaluation.metaworld import evaluate
    from robomamba_ros.evaluation.perturbations import NONE
    from robomamba_ros.evaluation.results import Results

    output, name = args.output, config.perturbation
    if output is not None and name != NONE:
        output = output.with_name(f'{output.stem}_{name}{output.suffix}')
    results = Results(output, config, args.graph)
    jobs, done = results.missing, len(results.outcomes)
    title = None if name == NONE else name
    with tqdm(total=len(config.jobs), initial=done, unit='episode', desc=title) as bar:
        found = _through_graph(config, jobs) if args.graph else evaluate(config, jobs, args.workers)
        for outcome in found:
            results.add(outcome)
            bar.set_postfix(task=outcome.task, successes=results.successes)
            bar.update()
    results.write()
    return results.outcomes


def _through_graph(config: EvaluationConfig, jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Yield the outcome of each of `jobs`, run by the live nodes."""
    if config.latency_steps:
        raise ConfigError('--latency-steps is for evaluation in process, without --graph')
    if not jobs:
        return
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    from robomamba_ros.simulation.catalog import SAWYER, robot_of
    from robomamba_ros.simulation.task_contract import task_contract

    if robot_of(config.tasks[0]) != SAWYER:
        yield from _run_graph(config, jobs)
        return
    with TemporaryDirectory() as folder:
        by_contract: dict[str, list[Job]] = {}
        for task in dict.fromkeys(task for task, _ in jobs):
            contract = task_contract(config.arm, task, Path(folder))
            by_contract.setdefault(contract, []).extend(job for job in jobs if job[0] == task)
        for contract, alike in by_contract.items():
            yield from _run_graph(replace(config, arm=contract), alike)


def _run_graph(config: EvaluationConfig, jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Yield the outcome of each of `jobs`, which all have the contract of the configuration."""
    from robomamba_ros.bringup.graph import PolicyOptions, SimOptions, sim_graph
    from robomamba_ros.evaluation.metaworld import Outcome
    from robomamba_ros.evaluation.rollout import Episode
    from robomamba_ros.nodes.clients.physical_recorder import recorder_of
    from robomamba_ros.nodes.clients.run_recorder import RunRecorder
    from robomamba_ros.nodes.clients.simulated_graph import simulated_graph
    from robomamba_ros.robots.arm import load_arm

    options = PolicyOptions(
        config.policy,
        arm=config.arm,
        load=config.load,
        mode='lockstep',
        execute_steps=config.execute_steps,
        enabled=True,
    )
    specs, arm = sim_graph(options, SimOptions(*jobs[0])), load_arm(config.arm)
    recorders: list[RunRecorder] = []

    def recorder() -> RunRecorder:
        recorders.append(recorder_of(arm, specs[1].remappings))
        return recorders[0]

    with simulated_graph(specs, extra=[recorder]) as runner:
        for task, seed in jobs:
            end = runner.run(task, seed)
            seen = recorders[0].take(end.begin_ns, end.end_ns)
            yield Outcome.of(
                Episode(
                    task,
                    seed,
                    end.success,
                    end.steps,
                    seen.commanded,
                    seen.measured,
                    arm.period_ns,
                )
            )

"""`robomamba evaluate`: one episode after the other, continued, seen again, added up."""

import json
from dataclasses import replace

import cv2
import pytest

pytest.importorskip('torch', reason='the policy extra is not installed')
pytest.importorskip('metaworld', reason='the simulation extra is not installed')

from robomamba_ros.cli.main import main
from robomamba_ros.cli.tasks import choose_tasks
from robomamba_ros.common.resources import share_directory
from robomamba_ros.errors import ConfigError, DataError, SimulationError
from robomamba_ros.evaluation.metaworld import (
    EvaluationConfig,
    Outcome,
    episodes_to_film,
    evaluate,
    film,
)
from robomamba_ros.evaluation.results import Results
from robomamba_ros.simulation.collect.demonstrations import FIRST_SEED
from robomamba_ros.simulation.metaworld import MAX_STEPS
from robomamba_ros.simulation.tasks import load_tasks

POLICY = str(share_directory() / 'models' / 'anolevla-mt10')
CONFIG = EvaluationConfig(POLICY, ('push', 'button-press-topdown'), execute_steps=10, episodes=2)


@pytest.fixture(scope='module')
def outcomes():
    """What one worker finds, task by task."""
    return list(evaluate(CONFIG, CONFIG.jobs, workers=1))


def test_one_worker_goes_through_the_episodes_in_order(outcomes):
    assert [(each.task, each.seed) for each in outcomes] == CONFIG.jobs
    assert sum(each.success for each in outcomes) >= 3
    assert all(0 < each.steps <= MAX_STEPS and each.mean_jerk > 0 for each in outcomes)


def test_an_episode_is_the_same_whatever_ran_before_it(outcomes):
    """The last of each task comes first."""
    backwards = [CONFIG.jobs[3], CONFIG.jobs[1]]
    assert list(evaluate(CONFIG, backwards, workers=1)) == [outcomes[3], outcomes[1]]


def test_an_episode_is_the_same_wherever_it_runs():
    """By a policy without torch, which takes longest to import in each process."""
    lifts = replace(CONFIG, policy='scripted', tasks=('reach',))
    found = list(evaluate(lifts, lifts.jobs, workers=2))
    here = list(evaluate(lifts, lifts.jobs, workers=1))
    assert sorted(found, key=repr) == here
    assert here[0].mean_jerk != here[1].mean_jerk


def test_the_command_goes_on_where_it_ended(tmp_path, capsys, outcomes):
    path = tmp_path / 'new' / 'results.json'
    # What is there is not run again: this outcome would come out otherwise.
    kept = replace(outcomes[2], steps=7)
    Results(path, CONFIG, through_graph=False).add(kept)
    command = ['evaluate', POLICY, '--tasks', kept.task, '--workers', '1', '--output', str(path)]
    assert main([*command, '--episodes', '1', '--first-seed', str(outcomes[3].seed)]) == 0
    assert main([*command, '--episodes', '2']) == 0
    assert '10 actions executed per inference' in capsys.readouterr().out
    document = json.loads(path.read_text())
    assert [Outcome(**each) for each in document['episodes']] == [kept, outcomes[3]]
    assert document['tasks'][kept.task]['trials'] == 2
    assert document['missing'] == 0


def test_perturbations_are_run_beside_what_is_not_changed(tmp_path, capsys, outcomes):
    path, late = tmp_path / 'results.json', 'latency_50ms'
    Results(path, CONFIG, through_graph=False).add(outcomes[2])
    command = ['evaluate', POLICY, '--tasks', outcomes[2].task, '--workers', '1']
    command += ['--output', str(path), '--episodes', '1', '--perturb', late]
    assert main([*command, '--first-seed', str(outcomes[2].seed)]) == 0
    assert '**mean of perturbations**' in capsys.readouterr().out
    document = json.loads((tmp_path / f'results_{late}.json').read_text())
    (found,) = document['episodes']
    assert (found['task'], found['seed']) == (outcomes[2].task, outcomes[2].seed)
    # Each chunk comes four periods later, and so does the end.
    assert found['steps'] > outcomes[2].steps
    path.write_bytes((tmp_path / f'results_{late}.json').read_bytes())
    with pytest.raises(ConfigError, match=f'perturbation is {late} there and None here'):
        Results(path, CONFIG, through_graph=False)


def test_a_file_holds_what_there_is_at_any_time(tmp_path, outcomes):
    path = tmp_path / 'results.json'
    results = Results(path, CONFIG, through_graph=False)
    results.add(outcomes[2])
    taken_up = Results(path, CONFIG, through_graph=False)
    assert taken_up.outcomes == [outcomes[2]]
    assert taken_up.missing == [job for job in CONFIG.jobs if job != CONFIG.jobs[2]]
    # Fewer tasks are asked for: the others stay in the file.
    alone = Results(path, replace(CONFIG, tasks=('push',)), through_graph=False)
    alone.add(outcomes[0])
    assert Results(path, CONFIG, through_graph=False).outcomes == [outcomes[0], outcomes[2]]
    assert list(json.loads(path.read_text())['tasks']) == ['push']


def test_results_of_other_settings_are_refused_by_name(tmp_path, outcomes):
    path = tmp_path / 'results.json'
    Results(path, CONFIG, through_graph=False).add(outcomes[0])
    with pytest.raises(ConfigError, match='execute_steps is 10 there and 25 here'):
        Results(path, replace(CONFIG, execute_steps=25), through_graph=False)
    with pytest.raises(ConfigError, match='through_graph is False there and True here'):
        Results(path, CONFIG, through_graph=True)
    other = replace(CONFIG, policy=str(share_directory() / 'models' / 'hold'))
    with pytest.raises(ConfigError, match=r'checkpoint is \w{64} there'):
        Results(path, other, through_graph=False)
    path.write_text('[1]')
    with pytest.raises(DataError, match='does not hold results of an evaluation'):
        Results(path, CONFIG, through_graph=False)


def test_what_is_seen_is_what_happened_or_nothing(tmp_path, outcomes):
    """One picture in four steps, and half a second of the end."""
    good = min(outcomes, key=lambda each: each.steps)
    wrong = replace(good, steps=good.steps + 1)
    films = film(CONFIG, [good, wrong], tmp_path, workers=1)
    path = next(films)
    assert path.name == f'easy_{good.task}_{good.seed}_success.mp4'
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == -(-good.steps // 4) + 10
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(20.0)
    capture.release()
    with pytest.raises(SimulationError, match=f'ends after {good.steps} .* after {wrong.steps}'):
        next(films)
    assert list(tmp_path.iterdir()) == [path]


def test_seen_are_a_failure_of_each_task_and_a_success_of_each_group():
    ends = [('reach', 1, 1), ('reach', 2, 0), ('reach', 3, 0), ('push', 1, 1), ('assembly', 1, 1)]
    outcomes = [Outcome(task, seed, bool(end), 9, 0.0) for task, seed, end in ends]
    assert load_tasks()['push'].group == load_tasks()['assembly'].group == 'hard'
    chosen = [(each.task, each.seed) for each in episodes_to_film(outcomes)]
    assert chosen == [('reach', 1), ('reach', 2), ('push', 1)]


def test_tasks_are_named_one_by_one_or_by_group():
    assert len(choose_tasks(['all'])) == 50
    assert choose_tasks(None, 'fr3') == choose_tasks(['all'], 'fr3')
    assert choose_tasks(['pick', 'fr3/open'], 'fr3') == ('fr3/pick', 'fr3/open')
    sizes = [len(choose_tasks([group])) for group in ('easy', 'medium', 'hard', 'very_hard')]
    assert sizes == [28, 11, 6, 5]
    assert choose_tasks(['push', 'medium', 'push'])[0] == 'push'
    assert len(choose_tasks(['push', 'medium', 'push'])) == 12
    with pytest.raises(SimulationError, match=r"unknown Meta-World task or group 'esy'.*'easy'"):
        choose_tasks(['esy'])


def test_seeds_of_training_and_numbers_that_make_no_sense_are_refused():
    last = replace(CONFIG, first_seed=FIRST_SEED - 2)
    assert max(seed for _, seed in last.jobs) == FIRST_SEED - 1
    for seed in (-1, FIRST_SEED - 1):
        with pytest.raises(ConfigError, match='begin at 0 and stay below 1000000'):
            replace(CONFIG, first_seed=seed)
    with pytest.raises(ConfigError, match='0 episodes a task'):
        replace(CONFIG, episodes=0)


def test_a_task_the_policy_was_not_trained_on_is_refused_before_anything_runs(capsys):
    tasks = ['--tasks', 'push', 'door-close']
    assert main(['evaluate', POLICY, *tasks, '--episodes', '1', '--workers', '1']) == 2
    error = capsys.readouterr().err
    assert "door-close: the instruction 'Close a door with a revolving joint' is none" in error
    assert "the nearest is 'Open a door with a revolving joint'" in error
    assert '--instructions any' in error
    assert 'Traceback' not in error


def test_an_instruction_the_policy_cannot_read_ends_the_run_with_its_reason(capsys):
    task = ['--tasks', 'button-press-topdown-wall', '--instructions', 'any']
    assert main(['evaluate', POLICY, *task, '--episodes', '1', '--workers', '1']) == 2
    error = capsys.readouterr().err
    assert error.startswith('warning: button-press-topdown-wall: the instruction')
    assert "the instruction 'bypass a wall and press a button from the top' has" in error

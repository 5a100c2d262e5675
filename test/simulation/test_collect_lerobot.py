"""A collection as LeRobot data set: the store's samples, of every frame, and fit to be trained on.

Of the four short episodes the expert fails in one, and another is disturbed.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support.made_demonstrations import small_run

pytest.importorskip('metaworld', reason='the simulation extra is not installed')
pytest.importorskip('pyarrow', reason='LeRobot data sets need pyarrow')

from robomamba_ros.cli.main import main
from robomamba_ros.datasets.demonstrations import open_shards
from robomamba_ros.datasets.lerobot.reader import LeRobotDataset
from robomamba_ros.datasets.store_from_lerobot import fill_store, store_meta
from robomamba_ros.errors import ConfigError, DataError
from robomamba_ros.evaluation.metaworld import EVALUATION_SEED
from robomamba_ros.simulation.collect.demonstrations import (
    CROP,
    FIRST_SEED,
    HORIZON,
    CollectConfig,
    metadata,
    record_episode,
)
from robomamba_ros.simulation.collect.lerobot import FAILED, LeRobotCollection, episode_seeds
from robomamba_ros.simulation.metaworld import CAMERA, MetaWorldSim
from robomamba_ros.simulation.tasks import load_tasks
from robomamba_ros.training.anolevla.loop import Trainer

TASKS = ('peg-insert-side', 'reach')
CONFIG = CollectConfig(TASKS, episodes_per_task=2, episodes_per_shard=1)
FAILING = 35_000_000


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set, its collection broken off after two episodes and continued by the command."""
    folder = tmp_path_factory.mktemp('collected') / 'set'
    with LeRobotCollection(folder, CONFIG, video=False) as collection:
        frames = collection.run(workers=1)
        assert next(frames) == 0
        assert next(frames) > 50
        frames.close()  # type: ignore[attr-defined]
    command = ['collect', str(folder), '--lerobot', '--tasks', *TASKS]
    assert main([*command, '--episodes', '2', '--shard', '1', '--workers', '1']) == 0
    return folder


def test_every_episode_is_there_once_but_for_those_the_expert_fails_in(folder: Path) -> None:
    data = LeRobotDataset(folder)
    seeds = [int(data.values('seed')[each.first]) for each in data.episodes]
    # Task by task in turn, and what was there is not collected again.
    assert seeds == [24_000_000, FAILING + 1, 24_000_001]
    assert (folder / FAILED).read_text() == f'{FAILING}\n'
    assert data.tasks == ('Reach a goal position', 'Insert a peg sideways')
    with LeRobotCollection(folder, CONFIG, video=False) as collection:
        assert collection.missing == []
        found = {part.task: part for part in collection.summarize()}
    assert [found[task].episodes for task in TASKS] == [1, 2]
    assert [found[task].failed for task in TASKS] == [1, 0]
    assert sum(part.frames for part in found.values()) == len(data)


def test_its_samples_are_those_of_the_store(folder: Path, tmp_path: Path) -> None:
    """The images cut by the policy's crop, and every chunk valid up to the next burst of noise.

    A part of the samples, because a rendering takes longer than all else.
    """
    data = LeRobotDataset(folder)
    meta = store_meta(
        data, target=CROP.target, horizon=HORIZON, action_space=None, crops={CAMERA: CROP}
    )
    list(fill_store(tmp_path, data, meta, every=1))
    _, (shard,) = open_shards(tmp_path)
    sim = MetaWorldSim(TASKS[1], 0)
    config = CollectConfig(TASKS, image_share=0.2)
    broken = 0
    for episode in data.episodes:
        seed = int(data.values('seed')[episode.first])
        sim.reset(list(load_tasks())[seed // FIRST_SEED - 1], seed)
        expected = record_episode(sim, seed, config, metadata(episode.tasks), 0)
        every = shard[shard['episode'] == episode.index]
        np.testing.assert_array_equal(every['step'], np.arange(episode.length))
        found = every[expected['step']]
        assert 0.1 * len(every) < len(found) < 0.3 * len(every)
        for name in ('state', 'previous_state', 'valid', 'images', 'step'):
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
        valid = expected['valid']
        np.testing.assert_array_equal(found['actions'][valid], expected['actions'][valid])
        window = data.window(episode.first + int(found['step'][1]), HORIZON)
        np.testing.assert_array_equal(window.valid, valid[1])
        whole = (len(every) - found['step']).clip(max=HORIZON)
        broken += int((valid.sum(axis=1) < whole).sum())
    sim.close()
    assert broken > 5


def test_it_trains(folder: Path, tmp_path: Path) -> None:
    trainer = Trainer(small_run(folder, tmp_path / 'run'))
    spec = trainer.network.config.spec
    assert (spec.dt_ns, spec.cameras[0].name) == (12_500_000, CAMERA)
    losses = [value for step in trainer.run() for value in step.losses.values()]
    assert trainer.step == 5
    assert np.isfinite(losses).all()


def test_clean_and_disturbed_demonstrations_are_not_mixed(folder: Path) -> None:
    clean = CollectConfig(TASKS, 2, 1, clean_share=1.0)
    with pytest.raises(DataError, match=r"feature 'disturbed' is .* and missing in what is to be"):
        LeRobotCollection(folder, clean, video=False)


def test_seeds_belong_to_one_task_and_never_to_evaluation() -> None:
    config = CollectConfig(tuple(load_tasks()), FIRST_SEED, FIRST_SEED)
    ranges = [episode_seeds(task, config) for task in config.tasks]
    assert EVALUATION_SEED < FIRST_SEED == ranges[0].start
    assert all(one.stop <= other.start for one, other in pairwise(ranges))
    for seed in (-1, 1):
        with pytest.raises(ConfigError, match='the seeds 0 to 999999 can be given'):
            CollectConfig(TASKS, FIRST_SEED, FIRST_SEED, seed=seed)


def test_options_of_the_other_layout_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['collect', str(tmp_path / 'a'), '--lerobot', '--image-share', '0.5']) == 2
    assert 'a LeRobot data set has every frame' in capsys.readouterr().err
    assert main(['collect', str(tmp_path / 'a'), '--video']) == 2
    assert 'give --lerobot too' in capsys.readouterr().err

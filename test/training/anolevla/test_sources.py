"""LeRobot data sets as the data of a run."""

import pytest
from support.made_demonstrations import small_run, write_dataset

from robomamba_ros.errors import ConfigError, DataError
from robomamba_ros.training.anolevla.loop import Trainer

pytest.importorskip('pyarrow', reason='LeRobot data sets need pyarrow')


def test_training_starts_from_the_data_set_itself(tmp_path):
    root = write_dataset(tmp_path / 'set', [6] * 10)
    config = small_run(
        root, tmp_path / 'run', validation_share=0.2, validation_every=1, data_every=2
    )
    trainer = Trainer(config)
    spec = trainer.network.config.spec
    assert (spec.state_names, spec.action_names) == (
        ('ee_x', 'ee_y', 'gripper'),
        ('ee_dx', 'gripper'),
    )
    assert {(c.name, c.height, c.width) for c in spec.cameras} == {
        ('front', 40, 48),
        ('wrist', 32, 32),
    }
    assert len(list(trainer.run(until=2))) == 2
    assert Trainer(config).step == 2
    assert len(list(Trainer(small_run(tmp_path / 'run/data', tmp_path / 'b')).run(until=1))) == 1


def test_what_is_held_out_can_be_a_data_set_too(tmp_path):
    roots = [write_dataset(tmp_path / name, [6] * 4) for name in ('learn', 'hold')]
    config = small_run(roots[0], tmp_path / 'run', validation_data=str(roots[1]))
    assert [p.error is not None for p in Trainer(config).run()] == [False, False, True, False, True]


def test_data_that_is_neither_is_refused(tmp_path):
    with pytest.raises(DataError, match="nothing' is no data set: robomamba collect"):
        Trainer(small_run(tmp_path / 'nothing', tmp_path / 'run'))
    with pytest.raises(ConfigError, match="Did you mean 'joint_delta'"):
        small_run(tmp_path / 'joints', tmp_path / 'run', action_space='joint_detla')

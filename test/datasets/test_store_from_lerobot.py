"""LeRobot data sets as demonstration stores: the same frames and chunks, cut and shrunk once."""

import numpy as np
import pytest
from support.made_demonstrations import write_dataset

from robomamba_ros.datasets.demonstrations import open_shards
from robomamba_ros.errors import ConfigError, DataError

pytest.importorskip('pyarrow', reason='LeRobot data sets need pyarrow')

from robomamba_ros.datasets.lerobot.reader import LeRobotDataset
from robomamba_ros.datasets.store_from_lerobot import fill_store, store_meta
from robomamba_ros.vision.preprocess import CropResize


def described(dataset, **changes):
    given = {'target': 32, 'horizon': 8, 'action_space': None, 'crops': {}}
    return store_meta(dataset, **{**given, **changes})


def test_samples_are_the_windows_of_the_data_set(tmp_path):
    dataset = LeRobotDataset(write_dataset(tmp_path / 'set', [9, 5, 4]))
    crop = CropResize((40, 48), left=6, top=2, side=36, target=32)
    meta = described(dataset, crops={'front': crop})
    assert meta.cameras == ('front', 'wrist')
    assert (meta.dt_ns, meta.action_space) == (100_000_000, 'ee_delta')
    progress = list(fill_store(tmp_path / 'store', dataset, meta, every=2))
    assert progress == [(3, 3)]
    meta, (shard,) = open_shards(tmp_path / 'store')
    assert shard['step'].tolist() == [0, 2, 4, 6, 8, 0, 2, 4, 0, 2]
    for row, frame in zip(shard, [0, 2, 4, 6, 8, 9, 11, 13, 14, 16], strict=True):
        window = dataset.window(frame, 8)
        for name in ('state', 'previous_state', 'actions', 'valid'):
            np.testing.assert_array_equal(row[name], getattr(window, name), err_msg=name)
        assert (row['episode'], row['step']) == (window.episode, window.step)
        assert meta.instructions[row['instruction']] == window.task
        np.testing.assert_array_equal(row['images'][0], crop(window.images['front']))
        np.testing.assert_array_equal(row['images'][1], window.images['wrist'])
        assert np.isnan(row['points']).all()


def test_what_is_there_is_kept_and_what_is_new_is_added(tmp_path):
    root = write_dataset(tmp_path / 'set', [3] * 22, cameras={'wrist': (32, 32)})
    dataset = LeRobotDataset(root)
    store = tmp_path / 'store'
    list(fill_store(store, dataset, described(dataset), every=1))
    first, second = sorted(store.glob('*.npy'))
    second.unlink()
    before = first.stat().st_mtime_ns
    list(fill_store(store, dataset, described(dataset), every=1))
    write_dataset(root, [4], cameras={'wrist': (32, 32)})
    dataset = LeRobotDataset(root)
    list(fill_store(store, dataset, described(dataset), every=1))
    assert first.stat().st_mtime_ns == before
    assert sum(len(shard) for shard in open_shards(store)[1]) == 22 * 3 + 4


def test_what_cannot_be_learnt_from_is_refused(tmp_path):
    joints = LeRobotDataset(write_dataset(tmp_path / 'joints', [3], names=('shoulder', 'elbow')))
    with pytest.raises(ConfigError, match=r'shoulder, elbow, .* set action_space: joint_position'):
        described(joints)
    with pytest.raises(ConfigError, match=r"camera 'front' .* 48 x 40 px, the policy reads it at"):
        described(joints, crops={'front': CropResize((48, 64), 0, 0, 48, 32)})
    blind = LeRobotDataset(write_dataset(tmp_path / 'blind', [3], cameras={}))
    with pytest.raises(DataError, match='has no camera'):
        described(blind)

"""Scales between physical units and the network's."""

import numpy as np
import pytest

from robomamba_ros.errors import CheckpointError
from robomamba_ros.policies.normalization import Affine, Normalization

VALUES = np.array([[0.0, 5.0, -1.0], [2.0, 5.0, 3.0]], np.float32)


def test_range_maps_onto_minus_one_to_one_and_back():
    affine = Affine.from_range(VALUES)
    assert affine.normalize(VALUES)[:, 0].tolist() == [-1, 1]
    np.testing.assert_allclose(affine.restore(affine.normalize(VALUES)), VALUES, atol=1e-6)


def test_mean_maps_onto_unit_deviation_and_a_constant_channel_stays_finite():
    normalized = Affine.from_mean(VALUES).normalize(VALUES)
    np.testing.assert_allclose(normalized.std(axis=0), [1, 0, 1], atol=1e-6)


def test_survives_saving_bit_for_bit(tmp_path):
    affine = Affine.from_mean(VALUES)
    saved = Normalization(affine, affine, Affine.from_range(VALUES))
    saved.save(tmp_path / 'normalization.json')
    assert Normalization.load(tmp_path / 'normalization.json') == saved


def test_names_what_a_file_lacks(tmp_path):
    path = tmp_path / 'normalization.json'
    path.write_text('{"state": {"offset": [0], "scale": [1]}}')
    with pytest.raises(CheckpointError, match=r'normalization\.json.*delta_state.offset is None'):
        Normalization.load(path)

"""Weights that are about to be read: modules without values, and what does not fit by name."""

from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
import torch
from torch import nn

from robomamba_ros.common.weights import fit_weights, read_pickle, uninitialised
from robomamba_ros.errors import CheckpointError
from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig


def test_nothing_is_drawn_for_weights_that_are_about_to_be_read():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    with uninitialised():
        nn.Linear(64, 64)
        nn.Conv2d(3, 8, 3)
        nn.Embedding(100, 8)
    assert torch.equal(torch.random.get_rng_state(), before)
    nn.Linear(64, 64)
    assert not torch.equal(torch.random.get_rng_state(), before)


def test_initialisers_that_draw_until_they_are_content_come_to_an_end():
    with uninitialised():
        nn.init.trunc_normal_(torch.empty(1000), std=0.02)


def test_a_module_made_so_computes_what_its_weights_say():
    torch.manual_seed(0)
    config = MambaConfig(d_model=16, n_layer=2, d_state=4)
    whole = MambaBackbone(config).eval()
    with uninitialised():
        bare = MambaBackbone(config).eval()
    fit_weights(bare, whole.state_dict(), 'here', 'there')
    inputs = torch.randn(1, 5, 16)
    with torch.no_grad():
        assert torch.equal(bare(inputs)[0], whole(inputs)[0])


def test_everything_that_does_not_fit_is_named():
    found = {'weight': torch.zeros(2, 2), 'gain': torch.zeros(1)}
    with pytest.raises(CheckpointError) as caught:
        fit_weights(nn.Linear(3, 2), found, 'a file', 'its description')
    assert str(caught.value).splitlines() == [
        'a file does not fit its description:',
        '  weight: shape (2, 2), expected (2, 3)',
        '  bias: missing, expected (2,)',
        '  gain: not part of this model',
    ]


def packed(source: Path, path: Path, change: Callable[[str, bytes], bytes] | None = None) -> None:
    """Write the file of torch.save again with compressed entries, as other tools do."""
    with ZipFile(source) as old, ZipFile(path, 'w', ZIP_DEFLATED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            new.writestr(
                entry.filename, content if change is None else change(entry.filename, content)
            )


def test_a_packed_file_has_the_weights_that_torch_reads(tmp_path):
    weights = {'a': torch.arange(1000.0), 'b': torch.randn(7, 9)}
    torch.save(weights, tmp_path / 'plain.pth')
    packed(tmp_path / 'plain.pth', tmp_path / 'packed.pth')
    for name in ('plain.pth', 'packed.pth'):
        found = read_pickle(tmp_path / name)
        expected = torch.load(tmp_path / name, weights_only=True)
        assert list(found) == list(expected) == ['a', 'b']
        assert all(torch.equal(found[key], expected[key]) for key in expected)
        assert torch.equal(found['a'], weights['a'])


def test_a_file_that_unpacks_to_gigabytes_is_refused(tmp_path):
    torch.save({'a': torch.zeros(10)}, tmp_path / 'plain.pth')
    packed(
        tmp_path / 'plain.pth',
        tmp_path / 'bomb.pth',
        lambda name, content: b'\0' * (64 << 20) if name.endswith('/0') else content,
    )
    with pytest.raises(
        CheckpointError, match=r'bomb.pth would unpack to 64 MiB, which weights nev'
    ):
        read_pickle(tmp_path / 'bomb.pth')


def test_a_record_shorter_than_its_tensor_is_refused(tmp_path):
    torch.save({'a': torch.arange(1000.0), 'b': torch.zeros(4)}, tmp_path / 'plain.pth')
    with ZipFile(tmp_path / 'plain.pth') as old, ZipFile(tmp_path / 'short.pth', 'w') as new:
        for entry in old.infolist():
            content = old.read(entry)
            new.writestr(
                entry.filename, content[:100] if entry.filename.endswith('/0') else content
            )
    with pytest.raises(CheckpointError, match=r'short.pth (holds less than it says|is damaged)'):
        read_pickle(tmp_path / 'short.pth')

"""A checkpoint whose files lie is refused in one line that names file and remedy, at once."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.full_disk import disk_of

from robomamba_ros.common.resources import share_directory
from robomamba_ros.errors import CheckpointError, RoboMambaError
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla.checkpoint import save
from robomamba_ros.policies.anolevla.config import read_config
from robomamba_ros.policies.normalization import Affine, Normalization
from robomamba_ros.policies.registry import describe_policy, load_policy

SHIPPED = share_directory() / 'models' / 'anolevla-mt10'
FILES = ('config.yaml', 'tokenizer.json', 'normalization.json', 'model.safetensors')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of a shipped checkpoint, its weights as a link."""
    copy = tmp_path / 'policy'
    copy.mkdir()
    for name in FILES[:3]:
        shutil.copy(SHIPPED / name, copy)
    (copy / FILES[3]).symlink_to(SHIPPED / FILES[3])
    return copy


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        (
            'n_layer: 3',
            'n_layer: 1000000000',
            'n_layer: found 1000000000, allowed: .* from 1 to 512',
        ),
        ('d_model: 256', 'd_model: 200000', 'd_model: found 200000, allowed: .* to 65536'),
        ('d_model: 256', 'd_model: 9223372036854775807', 'd_model: found 9223372036854775807'),
        ('horizon: 50', 'horizon: 1000000000', 'horizon: found 1000000000'),
        ('horizon: 50', 'horizon: 1' + '0' * 400, 'line 20: a number of 401 digits'),
        ('horizon: 50', 'horizon: 2001-99-99', "horizon: found '2001-99-99'"),
        ('dt_ns: 12500000', 'dt_ns: 1', r'dt_ns: found 1, allowed: a whole number from 1000000'),
        ('vocabulary: 354', 'vocabulary: 1000000000000', 'vocabulary: found 1000000000000'),
        ('length: 16', 'length: 1000000000', 'length: found 1000000000'),
        ('image_size: 96', 'image_size: 1', 'vision.keypoints: image_size is 1; keypoints need 16'),
        ('d_conv: 4', 'd_conv: 1000000', 'd_conv: found 1000000, allowed: .* to 64'),
        ('expand: 2', 'expand: 1000000', 'expand: found 1000000, allowed: .* to 16'),
        ('width: 224', 'width: 1000000000', r'cameras\[0\].width: found 1000000000'),
        ('policy: anolevla', 'policy: !!python/name:os.system', 'the tag .*os.system'),
    ],
    ids=range(14),
)
def test_sizes_that_no_machine_holds_are_refused_by_name(
    folder: Path, old: str, new: str, message: str
) -> None:
    path = folder / 'config.yaml'
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    for use in (load_policy, describe_policy):
        with pytest.raises(RoboMambaError, match=message) as raised:
            use(str(folder))
        assert str(path) in str(raised.value)


def test_sizes_beyond_the_memory_are_an_error_of_their_own(folder: Path) -> None:
    path = folder / 'config.yaml'
    text = path.read_text().replace('d_model: 256', 'd_model: 65536')
    path.write_text(text.replace('expand: 2', 'expand: 16').replace('n_layer: 3', 'n_layer: 512'))
    with pytest.raises(CheckpointError, match=r'cannot be made on this machine|does not fit'):
        load_policy(folder)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (
            lambda x: x['state'].update(offset=['a'] * 4),
            r"state.offset is \['a', .*list of numbers",
        ),
        (lambda x: x['state'].update(offset='abcd'), r"state.offset is 'abcd'"),
        (lambda x: x['state'].update(scale=[None] * 4), r'state.scale is \[None'),
        (lambda x: x['state'].update(offset=[[1]] * 4), r'state.offset is \[\[1\]'),
        (lambda x: x['state'].update(offset=[True] * 4), r'state.offset is \[True'),
        (lambda x: x.update(action=None), r'action.offset is None'),
        (lambda x: x.pop('delta_state'), r'delta_state.offset is None'),
        (lambda x: x['action'].update(scale=[1e300] * 4), r'action has scales beyond 1e\+06'),
        (lambda x: x['action'].update(scale=[1e-30] * 4), r'action has scales beyond 1e\+06'),
        (lambda x: x['state'].update(offset=[0.0] * 5), r'state has 5 offsets and 4 scales'),
        ('[' * 200_000, 'nested too deeply'),
        ('{"state": NaN}', 'NaN is not a number'),
        ('null', 'state.offset is None'),
        ('[]', 'state.offset is None'),
    ],
    ids=range(14),
)
def test_scales_that_are_none_are_refused(folder: Path, content: Any, message: str) -> None:
    path = folder / 'normalization.json'
    if callable(content):
        edit(path, content)
    else:
        path.write_text(content)
    with pytest.raises(CheckpointError, match=f'{path}.*{message}'):
        load_policy(folder)


def replaced(pattern: str, content: str) -> dict[str, Any]:
    return {'type': 'Replace', 'pattern': {'Regex': pattern}, 'content': content}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            {'normalizer': replaced('(a+)+$', 'b')},
            "its normalizer is 'Replace'; read are Lowercase",
        ),
        (
            {
                'normalizer': {
                    'type': 'Sequence',
                    'normalizers': [{'type': 'NFC'}, replaced('.', 'x')],
                }
            },
            "its normalizer is 'Replace'",
        ),
        ({'normalizer': {'type': 'Prepend', 'prepend': 'y' * 1000}}, "its normalizer is 'Prepend'"),
        (
            {'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '(a+)+$'}}},
            "its pre_tokenizer is 'Split'; read are ByteLevel",
        ),
        ({'normalizer': 5}, 'its normalizer is 5'),
        ({'model': {}}, 'is not a tokenizer'),
        ({'model': None}, 'it has no model'),
    ],
    ids=range(7),
)
def test_a_tokenizer_that_rewrites_texts_is_refused(
    folder: Path, change: dict[str, Any], message: str
) -> None:
    path = folder / 'tokenizer.json'
    edit(path, lambda document: document.update(change))
    with pytest.raises(CheckpointError, match=f'{path}.*{message}'):
        load_policy(folder)


def test_a_tokenizer_without_constant_tokens_or_with_other_ids_is_refused(folder: Path) -> None:
    path = folder / 'tokenizer.json'
    text = path.read_text()
    edit(path, lambda document: document['model'].update(dropout=0.5))
    with pytest.raises(CheckpointError, match=r'model.dropout is 0.5, with which a text has other'):
        load_policy(folder)
    path.write_text(text)
    edit(path, lambda document: document['model']['vocab'].update(d=4_294_967_295))
    with pytest.raises(CheckpointError, match=r'has 4294967296 tokens, the embedding .* 354 rows'):
        load_policy(folder)


def test_a_tokenizer_neither_cuts_nor_fills_an_instruction(folder: Path) -> None:
    path = folder / 'tokenizer.json'
    expected = InstructionTokenizer.load(path, 16).encode('open the drawer')
    cut = {'direction': 'Right', 'max_length': 0, 'strategy': 'LongestFirst', 'stride': 0}
    fill = {
        'strategy': {'Fixed': 10**9},
        'direction': 'Left',
        'pad_to_multiple_of': None,
        'pad_id': 0,
        'pad_type_id': 0,
        'pad_token': '<|padding|>',
    }
    edit(path, lambda document: document.update(truncation=cut, padding=fill))
    assert (InstructionTokenizer.load(path, 16).encode('open the drawer') == expected).all()


class PanicException(BaseException):
    """As that of a library in Rust, which no `except Exception` catches."""


def test_a_panic_of_the_tokenizer_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = InstructionTokenizer.load(SHIPPED / 'tokenizer.json', 16)

    class Broken:
        def encode(self, text: str, **options: Any) -> Any:
            raise PanicException('Regex search error')

    monkeypatch.setattr(tokenizer, '_tokenizer', Broken())
    with pytest.raises(RoboMambaError, match=r"cannot read the text 'open' .its library failed"):
        tokenizer.encode('open')


def test_weights_of_another_type_are_named(folder: Path) -> None:
    weights = load_file(SHIPPED / 'model.safetensors')
    (folder / 'model.safetensors').unlink()
    whole = {name: tensor.to(torch.int64) for name, tensor in weights.items()}
    save_file(whole, folder / 'model.safetensors')
    with pytest.raises(CheckpointError, match=r'torch.int64, expected a floating type') as raised:
        load_policy(folder)
    assert len(str(raised.value).splitlines()) <= 52


@pytest.mark.parametrize(
    'header',
    [
        {'a': {'dtype': 'F32', 'shape': [10**9], 'data_offsets': [0, 4 * 10**9]}},
        {'a': {'dtype': 'F32', 'shape': [2**62, 4], 'data_offsets': [0, 0]}},
        {'a': {'dtype': 'F32', 'shape': [4], 'data_offsets': [0, 16]}, 'b': {'dtype': 'F32'}},
        None,
    ],
)
def test_weights_that_lie_about_their_size_are_refused(
    folder: Path, header: dict[str, Any] | None
) -> None:
    text = json.dumps(header).encode()
    size = 2**63 if header is None else len(text)
    (folder / 'model.safetensors').unlink()
    (folder / 'model.safetensors').write_bytes(struct.pack('<Q', size) + text + b'\0' * 16)
    with pytest.raises(CheckpointError, match=r'model.safetensors cannot be read .*copy it again'):
        load_policy(folder)


def test_a_full_disk_leaves_the_checkpoint_as_it_was(tmp_path: Path) -> None:
    config = read_config(SHIPPED / 'config.yaml', 'x')
    parts = (
        InstructionTokenizer.load(SHIPPED / 'tokenizer.json', 16),
        Normalization.load(SHIPPED / 'normalization.json'),
    )
    weights = {'small': torch.zeros(4), 'large': torch.zeros(1 << 16)}
    save(tmp_path / 'there', config, weights, *parts)
    before = {path.name: path.read_bytes() for path in (tmp_path / 'there').iterdir()}
    assert sorted(before) == sorted([*FILES, 'instructions.json'])
    changed = {name: tensor + 1 for name, tensor in weights.items()}
    for name in ('there', 'new'):
        with (
            disk_of(1 << 16),
            pytest.raises(CheckpointError, match=r'cannot be written .*what was there stays'),
        ):
            save(tmp_path / name, config, changed, *parts)
    assert {path.name: path.read_bytes() for path in (tmp_path / 'there').iterdir()} == before
    assert list((tmp_path / 'new').iterdir()) == []


def test_scales_are_not_fitted_to_what_is_not_finite() -> None:
    values = np.zeros((5, 2), np.float32)
    values[3, 1] = np.inf
    for fit in (Affine.from_mean, Affine.from_range):
        with np.errstate(invalid='ignore'), pytest.raises(RoboMambaError, match='not finite'):
            fit(values)

"""An exported policy gives the same actions in onnxruntime, or there is no file."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from robomamba_ros.cli.main import main
from robomamba_ros.errors import BackendError, ConfigError
from robomamba_ros.policies.anolevla import export as exporting
from robomamba_ros.policies.base import LoadOptions, fake_observation
from robomamba_ros.policies.registry import load_policy

PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')


@pytest.fixture(scope='module')
def runtime():
    """Give onnxruntime where everything that an export needs is installed."""
    for package in PACKAGES:
        module = pytest.importorskip(package, reason=f'{package} is not installed')
    return module


@pytest.fixture(scope='module')
def folder(write_anolevla, documents, tmp_path_factory):
    """Give a small policy of random weights."""
    path = tmp_path_factory.mktemp('exported') / 'small'
    write_anolevla(path, documents['small'])
    return path


@pytest.fixture(scope='module')
def streaming(runtime, folder):
    """Give the file of the policy with its state as input and output, and what export said."""
    path = folder.parent / 'streaming.onnx'
    said = exporting.export(folder, path, LoadOptions(cache='stream'))
    return path, said


def session(runtime, path):
    return runtime.InferenceSession(path, providers=['CPUExecutionProvider'])


def test_a_carried_state_goes_in_and_comes_out(runtime, folder, streaming):
    path, said = streaming
    assert said.difference <= exporting.TOLERANCE
    run = session(runtime, path)
    facts = run.get_modelmeta().custom_metadata_map
    policy = load_policy(folder, cache='stream', dtype='float32')
    (camera,) = json.loads(facts['cameras'])
    assert (camera['name'], camera['side'], camera['target']) == ('front', 64, 32)
    assert json.loads(facts['action_names']) == list(policy.spec.action_names)
    assert (facts['horizon'], facts['dt_ns'], facts['streams']) == ('50', '12500000', 'true')
    shapes = {each.name: each.shape for each in run.get_inputs()}
    assert shapes['images'] == [1, 32, 32, 3]
    states = {name: np.zeros(shapes[name], np.float32) for name in exporting.STATES}
    parts = exporting.read_parts(folder, LoadOptions())
    first = []
    for seed in (3, 4, 3):
        observation = fake_observation(policy.spec, seed)
        feed = exporting._feed(observation, parts)
        actions, *after = run.run(None, feed | states)
        states = dict(zip(exporting.STATES, after, strict=True))
        expected = policy.infer(observation).actions
        assert np.abs(actions - expected).max() <= exporting.TOLERANCE
        first.append(actions)
    # The same observation gives other actions once something came before it.
    assert np.abs(first[2] - first[0]).max() > 10 * exporting.TOLERANCE


def test_the_graph_has_the_operators_of_onnx_alone(streaming):
    import onnx

    graph = onnx.load(streaming[0]).graph
    assert {node.domain for node in graph.node} <= {''}
    assert sum(node.op_type == 'Scan' for node in graph.node) == 2  # one a layer


def test_what_gives_other_actions_is_not_written(
    runtime, folder, documents, write_anolevla, streaming, monkeypatch
):
    import onnx_ir

    other = folder.parent / 'other'
    write_anolevla(other, documents['small'])
    path = other / 'normalization.json'
    scales = json.loads(path.read_text())
    scales['action']['scale'] = [2 * scale for scale in scales['action']['scale']]
    path.write_text(json.dumps(scales))
    model = onnx_ir.load(streaming[0])

    class Program:
        """A graph with the weights of another policy."""

        def save(self, path):
            onnx_ir.save(model, path)

    program = Program()
    program.model = model
    monkeypatch.setattr(exporting, '_program', lambda made: program)
    target = other / 'policy.onnx'
    with pytest.raises(BackendError, match=r'policy.onnx is not written: actions in onnxruntime'):
        exporting.export(other, target, LoadOptions(cache='stream'))
    assert sorted(each.name for each in other.iterdir() if 'onnx' in each.name) == []


def test_a_missing_package_is_one_line(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    target = folder.parent / 'never.onnx'
    assert main(['export', str(folder), str(target)]) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert "pip install -e '.[export]'" in error
    assert not target.exists()


def test_what_cannot_be_exported_is_refused_by_name(
    folder, write_anolevla, documents, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(exporting, '_import_packages', lambda: None)
    write_anolevla(tmp_path / 'words', documents['language_first'])
    with pytest.raises(ConfigError, match="'words' reads its instruction at the start"):
        exporting.export(tmp_path / 'words', tmp_path / 'a.onnx', LoadOptions(cache='stream'))
    parts = exporting.read_parts(folder, LoadOptions())
    monkeypatch.setattr(exporting, 'LARGEST_BYTES', 1000)
    with pytest.raises(ConfigError, match='ONNX holds 2 GB'):
        exporting._forward_pass(parts, streams=False)
    assert main(['export', 'hold', str(tmp_path / 'hold.onnx')]) == 2
    assert "is of the kind 'scripted'" in capsys.readouterr().err
    (tmp_path / 'there.onnx').write_text('mine')
    assert main(['export', str(folder), str(tmp_path / 'there.onnx')]) == 2
    assert 'is there already' in capsys.readouterr().err
    assert (tmp_path / 'there.onnx').read_text() == 'mine'

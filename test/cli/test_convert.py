"""The verb `convert`, from the command line to a policy that answers."""

import json
import re

import pytest
import torch
from safetensors.torch import save_file

from robomamba_ros.cli.main import main
from robomamba_ros.language.text import TextTokenizer
from robomamba_ros.mamba.backbone import MambaConfig
from robomamba_ros.mamba.language_model import LanguageModelConfig, MambaLanguageModel
from robomamba_ros.policies.registry import load_policy


@pytest.fixture
def language_model(tmp_path):
    """A directory as state-spaces publishes it, with a tokenizer in it."""
    torch.manual_seed(0)
    folder = tmp_path / 'mamba-tiny'
    folder.mkdir()
    tokenizer = TextTokenizer.train(['<|user|> what is it?\n<|assistant|>'], 300)
    tokenizer.save(folder / 'tokenizer.json')
    words = tokenizer.vocabulary
    model = MambaLanguageModel(LanguageModelConfig(MambaConfig(16, 2), words, words))
    weights = model.state_dict()
    weights['backbone.embedding.weight'] = weights.pop('embedding.weight')
    save_file(weights, folder / 'model.safetensors')
    sizes = {'d_model': 16, 'n_layer': 2, 'vocab_size': words, 'pad_vocab_size_multiple': 1}
    (folder / 'config.json').write_text(json.dumps(sizes))
    return folder


def test_a_published_model_becomes_a_policy(language_model, tmp_path, capsys):
    out = tmp_path / 'out'
    assert main(['convert', str(language_model), str(out), '--dtype', 'float32']) == 0
    assert capsys.readouterr().out == f'{out}: a policy that answers questions\n'
    policy = load_policy(out, cache='prefix')
    assert policy.answer(None, 'what is it?', max_tokens=4)


def test_mistakes_are_one_line_with_the_remedy(language_model, tmp_path, capsys):
    assert main(['convert', str(tmp_path / 'nothing.pth'), str(tmp_path / 'out')]) == 2
    assert re.search(r"there is no '.*nothing\.pth'; give a public Robo", capsys.readouterr().err)
    (tmp_path / 'some.pth').write_bytes(b'weights')
    assert main(['convert', str(tmp_path / 'some.pth'), str(tmp_path / 'out')]) == 2
    assert 'no tokenizer' in capsys.readouterr().err
    assert main(['convert', str(language_model), str(language_model)]) == 2
    assert 'exists and is not an empty directory' in capsys.readouterr().err
    with pytest.raises(SystemExit) as done:
        main(['convert', str(language_model), str(tmp_path / 'out'), '--camera', 'front'])
    assert done.value.code == 2
    assert 'is not NAME:HEIGHTxWIDTH' in capsys.readouterr().err

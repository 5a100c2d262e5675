"""A verb takes what its file says it is, and refuses another kind before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from robomamba_ros.cli.main import main
from robomamba_ros.common.resources import find_file
from robomamba_ros.errors import ConfigError
from robomamba_ros.training.anolevla.settings import is_robomamba, load_train_config


def test_a_run_is_of_the_kind_that_its_file_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert is_robomamba(find_file('training', 'robomamba_small'))
    assert not is_robomamba(find_file('training', 'my_arm'))
    with pytest.raises(ConfigError, match='stages: found an unknown key'):
        load_train_config(find_file('training', 'robomamba_small'), {})
    assert main(['train', 'robomamba_small', '--data', 'x']) == 2
    assert 'is a run of RoboMamba, which learns from poses' in capsys.readouterr().err
    settings = ['output=' + str(tmp_path), 'poses=' + str(tmp_path / 'none')]
    assert main(['train', 'robomamba_small', '--set', *settings]) == 2
    assert str(tmp_path / 'none') in capsys.readouterr().err


def test_evaluation_refuses_a_policy_without_chunks_before_it_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / 'results.json'
    assert main(['evaluate', 'robomamba-small', '--output', str(output)]) == 2
    assert "a policy of the kind 'robomamba'" in capsys.readouterr().err
    assert not output.exists()

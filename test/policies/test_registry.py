"""Names and directories become policies, or errors that say what there is."""

import subprocess
import sys
from pathlib import Path

import pytest

from robomamba_ros.errors import CheckpointError, ConfigError
from robomamba_ros.policies.base import LoadOptions
from robomamba_ros.policies.registry import describe_policy, load_chunk_policy, load_policy

SOURCE = Path(__file__).parents[2] / 'src'


def test_a_name_that_is_nowhere_is_answered_with_those_that_are():
    with pytest.raises(CheckpointError, match=r'models/ has: .*anolevla-mt10, .*hold, .*scripted'):
        load_policy('anolevla-mt11')
    with pytest.raises(ConfigError, match=r'(?s)models/ has: .*hold.*known: anolevla-467m'):
        describe_policy('anolevla-mt11')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('policy: anole', "unknown policy 'anole'. Did you mean 'anolevla'"),
        ('horizon: 3', "unknown policy 'None'.* Valid: anolevla"),
        ('[1, 2', 'not valid YAML'),
        (None, 'is not a checkpoint: it lacks config.yaml'),
    ],
)
def test_what_is_no_policy_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / 'config.yaml').write_text(text)
    with pytest.raises(CheckpointError, match=message):
        load_policy(tmp_path)


def test_a_policy_that_gives_no_chunks_cannot_run_a_robot(tmp_path):
    (tmp_path / 'config.yaml').write_text('policy: robomamba')
    with pytest.raises(ConfigError, match=r"kind 'robomamba': .*Give one of .*anolevla, scripted"):
        load_chunk_policy(tmp_path, LoadOptions())
    assert load_chunk_policy('hold', LoadOptions()).spec.horizon > 0


def test_a_policy_without_weights_needs_no_torch():
    program = """
import sys
sys.modules['torch'] = None
from robomamba_ros.policies.base import fake_observation
from robomamba_ros.policies.base import LoadOptions
from robomamba_ros.policies.registry import load_policy
policy = load_policy('scripted')
print(policy.infer(fake_observation(policy.spec)).actions.shape)
"""
    done = subprocess.run(
        [sys.executable, '-c', program],
        capture_output=True,
        text=True,
        env={'PYTHONPATH': str(SOURCE)},
        check=False,
    )
    assert (done.stdout, done.stderr) == ('(50, 3)\n', '')


def test_loading_leaves_torchs_compiler_alone():
    """It takes seconds, and brings triton, which crashes beside Mesa's LLVM."""
    program = """
import sys
from robomamba_ros.policies.base import LoadOptions
from robomamba_ros.policies.registry import load_policy
load_policy('anolevla-mt10')
print('torch._dynamo' in sys.modules, 'transformers' in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, '-c', program],
        capture_output=True,
        text=True,
        env={'PYTHONPATH': str(SOURCE)},
        check=True,
    )
    assert done.stdout == 'False False\n'

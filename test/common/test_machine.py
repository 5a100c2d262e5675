"""Which type a network computes in, decided from what a machine is said to be."""

import logging
import re

import pytest
import torch

from robomamba_ros.common.logs import shown
from robomamba_ros.common.machine import (
    ComputeDevice,
    Processor,
    choose_dtype,
    cpu_device,
    read_processor,
)
from robomamba_ros.errors import ConfigError
from robomamba_ros.policies.checkpoint import compute_dtype
from robomamba_ros.training.anolevla.config import TrainConfig
from robomamba_ros.training.robomamba.config import load_robomamba_training
from robomamba_ros.training.shared.precision import autocast, resolve_dtype

FAST = ComputeDevice('a processor with AVX512-BF16', True)
SLOW = ComputeDevice('a processor with AVX2', False)
TURING = ComputeDevice('a GPU before Ampere', False, fast_float16=True)


@pytest.mark.parametrize(
    ('flags', 'instruction_set', 'fast'),
    [
        ('fpu avx avx2 fma', 'AVX2', False),
        ('avx2 avx512f avx512bw avx512vl', 'AVX512', False),
        ('avx2 avx512f avx512_bf16', 'AVX512', True),
        ('avx2 avx512f avx512_bf16 amx_bf16 amx_tile', 'AVX512', True),
        # PyTorch was told to leave its wide instructions alone.
        ('avx2 avx512f avx512_bf16 amx_bf16', 'AVX2', False),
        ('avx2 avx512f avx512_bf16', 'DEFAULT', False),
        # ARM, with the instructions and without.
        ('fp asimd bf16 i8mm', 'SVE256', True),
        ('fp asimd', 'SVE256', False),
        # NEON alone, which PyTorch calls its default.
        ('fp asimd bf16 i8mm', 'DEFAULT', True),
        ('fp asimd', 'DEFAULT', False),
        ('', 'NO AVX', False),
    ],
)
def test_instructions_decide_whether_bfloat16_is_fast(flags, instruction_set, fast):
    device = cpu_device(Processor('x', frozenset(flags.split())), instruction_set)
    assert device == ComputeDevice('x', fast)


def test_float16_is_fast_where_the_processor_multiplies_it_and_pytorch_may_use_that():
    processor = Processor('x', frozenset({'avx512f', 'avx512_fp16'}))
    assert cpu_device(processor, 'AVX512').fast('float16')
    assert not cpu_device(processor, 'AVX2').fast('float16')
    assert cpu_device(processor, 'AVX2').fast('float32')


@pytest.mark.parametrize(
    ('text', 'processor'),
    [
        (
            'processor\t: 0\nmodel name\t: A CPU: the first\nflags\t\t: fpu amx_bf16\n\n'
            'processor\t: 1\nmodel name\t: another\nflags\t\t: fpu\n',
            Processor('A CPU: the first', frozenset({'fpu', 'amx_bf16'})),
        ),
        ('model name\t: An ARM\nFeatures\t: fp bf16\n', Processor('An ARM', {'fp', 'bf16'})),
    ],
)
def test_the_first_processor_is_read_as_linux_describes_it(tmp_path, text, processor):
    path = tmp_path / 'cpuinfo'
    path.write_text(text)
    assert read_processor(path) == processor


def test_a_system_that_does_not_describe_its_processor_has_no_fast_types(tmp_path):
    assert read_processor(tmp_path / 'cpuinfo').flags == frozenset()


@pytest.mark.parametrize(
    ('asked', 'device', 'preferred', 'chosen', 'level'),
    [
        ('auto', FAST, 'bfloat16', 'bfloat16', logging.INFO),
        ('auto', SLOW, 'bfloat16', 'float32', logging.INFO),
        ('auto', FAST, 'float32', 'float32', logging.INFO),
        ('auto', SLOW, 'float32', 'float32', logging.INFO),
        ('bfloat16', SLOW, 'float32', 'bfloat16', logging.WARNING),
        ('bfloat16', FAST, 'float32', 'bfloat16', None),
        ('float32', FAST, 'bfloat16', 'float32', None),
        ('auto', TURING, 'bfloat16', 'float32', logging.INFO),
        ('float16', TURING, 'bfloat16', 'float16', None),
        ('float16', SLOW, 'float32', 'float16', logging.WARNING),
    ],
)
def test_auto_is_what_is_fast_and_a_slow_choice_is_taken_with_one_line(
    caplog, asked, device, preferred, chosen, level
):
    with caplog.at_level(logging.INFO, 'robomamba_ros'):
        assert choose_dtype(asked, device, preferred) == chosen
    assert [record.levelno for record in caplog.records] == ([level] if level else [])
    assert all(device.name in x and '\n' not in x for x in caplog.messages)
    measured = [re.search(r'measured now, takes (\d+\.\d) times', x) for x in caplog.messages]
    assert [found is not None for found in measured] == [level == logging.WARNING] * len(measured)


@pytest.fixture(params=[FAST, SLOW], ids=['fast', 'slow'])
def device(request, monkeypatch):
    for module in ('robomamba_ros.policies.checkpoint', 'robomamba_ros.training.shared.precision'):
        monkeypatch.setattr(f'{module}.compute_device', lambda _: request.param)
    return request.param


def test_a_policy_computes_in_the_type_it_is_stored_in_where_that_is_fast(device):
    cpu = torch.device('cpu')
    wide, half = torch.zeros(2), torch.zeros(2, dtype=torch.bfloat16)
    assert compute_dtype('auto', cpu, [wide, wide]) == torch.float32
    chosen = torch.bfloat16 if device.fast_bfloat16 else torch.float32
    assert compute_dtype('auto', cpu, [wide, half]) == chosen
    assert compute_dtype('bfloat16', cpu, [wide]) == torch.bfloat16


def test_training_multiplies_in_bfloat16_where_that_is_fast(device):
    cpu = torch.device('cpu')
    dtype = resolve_dtype('auto', cpu)
    with autocast(cpu, dtype):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if device.fast_bfloat16 else torch.float32)


def test_training_refuses_float16_by_name(tmp_path):
    with pytest.raises(
        ConfigError, match=r"unknown dtype 'float16'\..*Valid: auto, bfloat16, float32"
    ):
        TrainConfig('data', 'output', dtype='float16')
    path = tmp_path / 'run.yaml'
    path.write_text('stages: {}\n')
    with pytest.raises(ConfigError, match=r'dtype.*float16.*auto, float32, bfloat16'):
        load_robomamba_training(path, {'dtype': 'float16'})


def test_the_log_is_shown_once_however_deep_and_then_no_more(capsys):
    log = logging.getLogger('robomamba_ros.common.machine')
    with shown(), shown():
        log.info('computing')
    log.info('nobody reads this')
    assert capsys.readouterr().err == 'computing\n'

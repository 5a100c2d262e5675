"""Training: it learns, it resumes exactly, it refuses wrong settings."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.made_demonstrations import small_run, write_store

from robomamba_ros.errors import CheckpointError, ConfigError
from robomamba_ros.policies.registry import load_policy
from robomamba_ros.training.anolevla.loop import Trainer
from robomamba_ros.training.anolevla.settings import load_train_config, parse_settings
from robomamba_ros.types import Observation


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Eight samples, each an episode."""
    return write_store(tmp_path_factory.mktemp('data'), episodes=8, steps=1)


@pytest.fixture(scope='module')
def episodes(tmp_path_factory):
    """Ten episodes of each instruction, seven steps each."""
    return write_store(tmp_path_factory.mktemp('episodes'), episodes=20, steps=7)


def test_overfits_a_few_samples_through_the_saved_checkpoint(data, tmp_path):
    config = small_run(
        data, tmp_path, stage1_steps=200, stage2_steps=50, batch_size=8, ema_decay=0.9, seed=1
    )
    history = list(Trainer(config).run())
    assert history[0].losses['velocity'] > 0.3
    assert history[-1].losses['velocity'] < 0.1
    assert [p.stage for p in history] == [1] * 200 + [2] * 50
    policy = load_policy(tmp_path / 'checkpoint')
    sample = np.load(data / 'a.npy')[3]
    observation = Observation(
        0, {'front': sample['images'][0]}, sample['state'], sample['previous_state'], 'go right'
    )
    error = np.abs(policy.infer(observation).actions - sample['actions'])
    assert error[:, 0].mean() < 0.003
    assert error[:, 1].mean() < 0.1


EVERYTHING = {
    'streaming': 2,
    'augment_shift': 3,
    'augment_brightness': 0.2,
    'augment_contrast': 0.2,
    'augment_color': 0.1,
    'augment_rotation': 3.0,
    'augment_noise': 0.02,
    'augment_jpeg': 50,
    'augment_erase': 0.2,
    'state_noise': 0.1,
    'recovery_steps': 3,
    'delta_dropout': 0.5,
    'validation_share': 0.2,
    'validation_every': 1,
    'patience': 1,
    'stage1_steps': 4,
    'stage2_steps': 3,
    'log_every': 2,
}


@pytest.mark.parametrize('changes', [{'log_every': 1}, EVERYTHING], ids=['plain', 'everything'])
def test_two_steps_and_a_resumed_rest_are_the_whole_run(episodes, tmp_path, changes):
    whole = Trainer(small_run(episodes, tmp_path / 'whole', **changes))
    at_once = [(p.step, p.losses, p.error) for p in whole.run()]
    start = Trainer(small_run(episodes, tmp_path / 'parts', **changes))
    first = [(p.step, p.losses, p.error) for p in start.run(until=2)]
    resumed = Trainer(small_run(episodes, tmp_path / 'parts', **changes))
    assert resumed.step == start.step >= 2
    assert first + [(p.step, p.losses, p.error) for p in resumed.run()] == at_once
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    one, two = (tmp_path / name / 'checkpoint/model.safetensors' for name in ('whole', 'parts'))
    assert one.read_bytes() == two.read_bytes()
    assert _metrics(tmp_path / 'whole') == _metrics(tmp_path / 'parts')


def _metrics(folder):
    lines = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    for line in lines:
        line.pop('samples_per_second', None)
    return lines


def test_refuses_to_resume_with_other_settings(data, tmp_path):
    list(Trainer(small_run(data, tmp_path)).run(until=1))
    with pytest.raises(CheckpointError, match='other settings of learning_rate'):
        Trainer(small_run(data, tmp_path, learning_rate=1e-4))


def test_resumes_a_run_of_before_the_newer_settings_and_the_record(data, tmp_path):
    config = small_run(data, tmp_path)
    list(Trainer(config).run(until=1))
    path = tmp_path / 'training_state.pt'
    state = torch.load(path, weights_only=True)
    for name in ('streaming', 'augment_shift', 'validation_share'):
        del state['config'][name]
    torch.save(state, path)
    for name in ('run.json', 'metrics.jsonl'):
        (tmp_path / name).unlink()
    assert Trainer(config).step == 1
    with pytest.raises(CheckpointError, match='other settings of streaming'):
        Trainer(small_run(data, tmp_path, streaming=2))


def test_the_second_stage_turns_the_acceleration_loss_on(data, tmp_path):
    """Same seed, same steps: only the objective differs, so the weights part at stage 2."""
    one = Trainer(small_run(data, tmp_path / 'one', stage1_steps=2, stage2_steps=0))
    two = Trainer(small_run(data, tmp_path / 'two', stage1_steps=1, stage2_steps=1))
    list(one.run())
    list(two.run())
    assert not torch.equal(one.network.head.weight, two.network.head.weight)
    same = Trainer(
        small_run(data, tmp_path / 'same', stage1_steps=1, stage2_steps=1, acceleration_weight=0.0)
    )
    list(same.run())
    assert torch.equal(one.network.head.weight, same.network.head.weight)


def test_a_stage_ends_when_the_held_out_error_falls_no_more(episodes, tmp_path):
    """A rate at which nothing is learned: the first validation of a stage stays the best."""
    config = small_run(
        episodes,
        tmp_path,
        stage1_steps=20,
        stage2_steps=30,
        learning_rate=0.0,
        final_learning_rate=0.0,
        warmup_steps=0,
        validation_share=0.2,
        validation_every=2,
        patience=2,
    )
    # Interrupted in between: what was best, and for how long, is remembered.
    history = [*Trainer(config).run(until=4), *Trainer(config).run()]
    assert [p.step for p in history] == [1, 2, 3, 4, 5, 6, 21, 22, 23, 24, 25, 26]
    assert [p.stage for p in history] == [1] * 6 + [2] * 6
    assert Trainer(config).step == 50


def test_the_best_weights_are_kept_and_begin_the_second_stage(episodes, tmp_path):
    config = small_run(
        episodes,
        tmp_path,
        stage1_steps=4,
        stage2_steps=1,
        ema_decay=0.0,
        validation_share=0.2,
        validation_every=1,
    )
    trainer = Trainer(config)
    best = min(p.error for p in trainer.run(until=2))
    with torch.no_grad():
        trainer.network.head.bias.add_(10.0)
    assert all(p.error > 2.0 * best for p in trainer.run(until=4))
    weights = trainer.network.state_dict()
    kept = load_file(tmp_path / 'checkpoint/model.safetensors')
    assert all(torch.equal(kept[name], value) for name, value in weights.items())
    assert trainer._validation.losses(weights)['velocity'] == best
    assert [p.stage for p in trainer.run()] == [2]


def test_localisation_needs_data_that_says_where_things_are(data, tmp_path):
    samples = np.load(data / 'a.npy')
    samples['points'] = np.nan
    other = write_store(tmp_path / 'other', episodes=8, steps=1)
    np.save(other / 'a.npy', samples)
    with pytest.raises(ConfigError, match=r'set localization: demonstrations, .* localization_w'):
        Trainer(small_run(other, tmp_path / 'run', localization_weight=0.2))


def test_refuses_data_whose_images_the_policy_does_not_read(data, tmp_path):
    config = small_run(data, tmp_path)
    path = tmp_path / 'small.yaml'
    path.write_text(path.read_text().replace('image_size: 32', 'image_size: 16'))
    with pytest.raises(ConfigError, match=r"images of 32 px, policy '.*' reads 16 px"):
        Trainer(config)


def test_a_run_says_how_it_was_made(episodes, tmp_path):
    config = small_run(episodes, tmp_path, validation_share=0.2)
    list(Trainer(config, notes={'command': 'robomamba train'}).run(until=2))
    list(Trainer(config).run())
    first, second = json.loads((tmp_path / 'run.json').read_text())['starts']
    assert (first['step'], second['step']) == (0, 2)
    assert first['command'] == 'robomamba train'
    assert first['config'] == asdict(config)
    assert first['data']['training'] == {
        'samples': 112,
        'episodes': {'go left': 8, 'go right': 8},
    }
    assert first['data']['held_out']['episodes'] == {'go left': 2, 'go right': 2}
    assert first['software']['torch'] == torch.__version__
    assert first['parameters'] > 10_000
    steps = [(line['step'], line['stage']) for line in _metrics(tmp_path)]
    assert steps == [(2, 1), (3, 1), (5, 2), (5, 2)]


def test_the_learning_rate_warms_up_and_falls_to_its_end(data, tmp_path):
    config = small_run(data, tmp_path, stage1_steps=100, stage2_steps=0, warmup_steps=10)
    rates = [config.rate(step) for step in range(101)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == rates[9] == rates[10] == config.learning_rate
    assert rates[100] == pytest.approx(config.final_learning_rate)


def test_names_every_wrong_setting_at_once(tmp_path):
    path = tmp_path / 'run.yaml'
    path.write_text(
        'output: out\nbatch_sise: 4\nlearning_rate: .nan\nthreads: -2\nseed: 1\nseed: 2\n'
        'weight_decay: 1e9\nsave_every: yes\ndata_every: 0100\n'
    )
    with pytest.raises(ConfigError) as caught:
        load_train_config(path, parse_settings(['batch_size=two', 'emphasis={go: often}']))
    message = str(caught.value)
    for part in (
        "did you mean 'batch_size'?",
        'data: found nothing, allowed: a text',
        'learning_rate: found nan, allowed: a number from 0 to 1',
        'threads: found -2, allowed: a whole number from 1 to 1024',
        'seed: found twice',
        'weight_decay: found 1000000000.0, allowed: a number from 0 to 1',
        "save_every: found 'yes', allowed: a whole number",
        "data_every: found '0100' (a text",
        "batch_size: found 'two', allowed: a whole number from 1",
        "emphasis.go: found 'often', allowed: a number",
    ):
        assert part in message
    path.write_text('data: a\noutput: out\nlearning_rate: 1e-3\n')
    assert load_train_config(path, {}).learning_rate == 0.001


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'streaming': 3}, r'batch_size \(4\) must be a multiple of streaming \(3\)'),
        ({'validation_every': 0}, 'validation_every is 0; give at least 1'),
        ({'patience': 3}, 'patience needs validation_share or validation_data'),
        ({'validation_share': 0.1, 'validation_data': 'b'}, 'not both'),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(data, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        small_run(data, tmp_path, **changes)


def test_a_setting_needs_an_equals_sign():
    with pytest.raises(ConfigError, match='write KEY=VALUE'):
        parse_settings(['n_layer'])


def test_a_state_of_another_network_is_refused_and_nothing_lost(data, tmp_path):
    config = small_run(data, tmp_path, stage1_steps=1, stage2_steps=1)
    list(Trainer(config).run(1))
    path = tmp_path / 'training_state.pt'
    state = torch.load(path, weights_only=True)
    head = next(name for name in state['ema'] if name.startswith('head.'))
    torch.save({**state, 'ema': {**state['ema'], head: torch.zeros(2)}}, path)
    before = {p: p.read_bytes() for p in sorted(tmp_path.rglob('*')) if p.is_file()}
    with pytest.raises(CheckpointError, match=r'state\.pt is damaged or not of this run .*head'):
        Trainer(config)
    assert {p: p.read_bytes() for p in sorted(tmp_path.rglob('*')) if p.is_file()} == before

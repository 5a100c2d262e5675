"""What every policy promises, held by every kind of policy in the registry."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml

from robomamba_ros.errors import CheckpointError, ConfigError, ObservationError
from robomamba_ros.policies.base import CACHES, OutputKind, fake_observation
from robomamba_ros.policies.registry import KINDS, describe_policy
from robomamba_ros.types import EE_POSE_NAMES, PoseTarget


def observe(policy, seed=0, **changes):
    """An observation of its own for every seed, an action step after that of the seed before."""
    spec = policy.spec
    seen = fake_observation(spec, seed)
    before = fake_observation(spec, seed + 1000).state
    return replace(seen, stamp_ns=seed * spec.dt_ns, previous_state=before, **changes)


def numbers(found):
    """The (H, d_a) actions of a chunk; the pose of a target is one action."""
    if isinstance(found, PoseTarget):
        pose = np.concatenate([found.pose.position, found.pose.quaternion])
        return pose[None].astype(np.float32)
    return found.actions


def infer(policy, *seeds, **changes):
    return [numbers(policy.infer(observe(policy, seed, **changes))) for seed in seeds]


def equal(first, second):
    return len(first) == len(second) and all(map(np.array_equal, first, second))


@pytest.fixture
def policy(folder, load):
    return load(folder)


def test_every_kind_in_the_registry_is_tested_here(kinds):
    assert kinds == set(KINDS)


def test_what_it_gives_is_what_the_spec_says(policy, folder):
    spec = policy.spec
    seen = observe(policy, 3)
    found = policy.infer(seen)
    assert spec.name == folder.name
    assert found.stamp_ns == seen.stamp_ns
    assert numbers(found).shape == (spec.horizon, len(spec.action_names))
    assert 1 <= spec.execute_steps <= spec.horizon
    if isinstance(found, PoseTarget):
        assert found.frame in [camera.name for camera in spec.cameras]
        assert spec.action_names == EE_POSE_NAMES
        return
    assert found.actions.dtype == np.float32
    assert (found.space, found.names) == (spec.action_space, spec.action_names)
    assert found.dt_ns == spec.dt_ns


def test_the_same_inputs_give_the_same_bits_in_every_copy(policy, folder, tmp_path, load):
    shutil.copytree(folder, tmp_path / folder.name)
    copy = load(tmp_path / folder.name)
    assert copy.spec == policy.spec
    assert equal(infer(policy, 0, 1, 2), infer(copy, 0, 1, 2))


def test_reset_forgets_the_episode(policy, case, folder, load):
    for cache in case.caches:
        policy = load(folder, cache=cache)
        first = infer(policy, 0, 1)
        infer(policy, 7, instruction='push it away')
        policy.reset()
        assert equal(infer(policy, 0, 1), first), cache


def test_a_cached_prefix_changes_no_bit(case, folder, load):
    policy = load(folder, cache='none')
    if 'prefix' not in case.caches:
        with pytest.raises(ConfigError, match='Orders that begin with language have one'):
            load(folder, cache='prefix')
        return
    cached = load(folder, cache='prefix')
    for seed, words in enumerate(['open it', 'open it', 'close it', 'open it', 'open it']):
        expected = infer(policy, seed, instruction=words)
        assert equal(infer(cached, seed, instruction=words), expected), seed


def test_by_default_a_prefix_is_kept_where_there_is_one_and_no_bit_changes(case, folder, load):
    policy, plain = load(folder), load(folder, cache='none')
    for seed, words in enumerate(['open it', 'open it', 'close it', 'open it']):
        found = infer(policy, seed, instruction=words)
        assert equal(found, infer(plain, seed, instruction=words)), seed


def test_a_stream_starts_like_a_single_pass(case, folder, load):
    if 'stream' not in case.caches:
        with pytest.raises(ConfigError, match='stream'):
            load(folder, cache='stream')
        return
    (single,), (streamed,) = (infer(load(folder, cache=cache), 0) for cache in ('none', 'stream'))
    np.testing.assert_allclose(streamed, single, rtol=1e-4, atol=1e-5)


def test_observations_are_left_as_they_were(policy):
    seen = observe(policy)
    copies = [array.copy() for array in (*seen.images.values(), seen.state, seen.previous_state)]
    policy.infer(seen)
    assert equal([*seen.images.values(), seen.state, seen.previous_state], copies)


@pytest.mark.parametrize(('dtype', 'share'), [('bfloat16', 0.05), ('float16', 0.01)])
def test_sixteen_bits_give_nearly_the_same_actions_as_float32(policy, folder, load, dtype, share):
    (exact,) = infer(policy, 0)
    (rounded,) = infer(load(folder, dtype=dtype), 0)
    assert rounded.dtype == np.float32
    assert np.abs(rounded - exact).max() <= share * np.abs(exact).max()


def test_a_missing_or_wrong_image_is_refused_by_name(policy):
    seen = observe(policy)
    for camera in policy.spec.cameras:
        others = {name: image for name, image in seen.images.items() if name != camera.name}
        present = ', '.join(others) or 'none'
        with pytest.raises(
            ObservationError, match=f"needs the camera '{camera.name}'; present: {present}"
        ):
            policy.infer(replace(seen, images=others))
        small = others | {camera.name: seen.images[camera.name][:-1]}
        with pytest.raises(ObservationError, match=rf"'{camera.name}' gives \({camera.height - 1}"):
            policy.infer(replace(seen, images=small))
        floating = others | {camera.name: seen.images[camera.name].astype(np.float32)}
        with pytest.raises(ObservationError, match=r'float32, policy .* uint8 RGB'):
            policy.infer(replace(seen, images=floating))


@pytest.mark.parametrize('label', ['state', 'previous_state'])
def test_a_wrong_state_is_refused_by_name(policy, label):
    seen = observe(policy)
    names = policy.spec.state_names
    with pytest.raises(ObservationError, match=f'{label} has shape'):
        policy.infer(replace(seen, **{label: np.zeros(len(names) + 1, np.float32)}))
    for channel, name in enumerate(names):
        state = seen.state.copy()
        state[channel] = np.nan
        with pytest.raises(ObservationError, match=f"{label} channel '{name}' is not finite"):
            policy.infer(replace(seen, **{label: state}))


def test_what_was_refused_leaves_no_trace(case, folder, load):
    for cache in case.caches:
        policy, other = (load(folder, cache=cache) for _ in range(2))
        first = infer(policy, 0)
        wrong = np.full(len(policy.spec.state_names) + 1, np.nan, np.float32)
        with pytest.raises(ObservationError):
            policy.infer(observe(policy, 1, state=wrong))
        assert equal(first + infer(policy, 1), infer(other, 0, 1)), cache


@pytest.mark.parametrize(
    ('option', 'error', 'message'),
    [
        ({'dtype': 'float23'}, ConfigError, "unknown dtype 'float23'. Did you mean 'float32'"),
        ({'cache': 'prefx'}, ConfigError, "unknown cache 'prefx'. Did you mean 'prefix'"),
        ({'threads': 0}, ConfigError, 'threads is 0; give at least 1'),
    ],
)
def test_an_unknown_way_to_run_is_refused(folder, option, error, message, load):
    with pytest.raises(error, match=message):
        load(folder, **option)


def test_its_configuration_is_refused_with_every_error_at_once(case, folder, tmp_path, load):
    shutil.copytree(folder, tmp_path / 'broken')
    path = tmp_path / 'broken/config.yaml'
    document = yaml.safe_load(path.read_text())
    document |= case.broken
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError) as caught:
        load(path.parent)
    for part in case.said:
        assert part in str(caught.value)


def test_a_directory_without_its_files_is_refused(folder, tmp_path, load):
    for name in sorted(path.name for path in folder.iterdir()):
        shutil.copytree(folder, tmp_path / name)
        (tmp_path / name / name).unlink()
        with pytest.raises(CheckpointError, match=f"'.*{name}' is not a .*checkpoint: it lacks"):
            load(tmp_path / name)


def test_it_can_be_described_without_loading_its_weights(policy, folder):
    found = describe_policy(str(folder))
    assert found.spec == policy.spec
    text = found.text()
    for word in (*policy.spec.state_names, *policy.spec.action_names, policy.spec.name):
        assert word in text
    for camera in policy.spec.cameras:
        assert f'{camera.name} {camera.width} x {camera.height} px' in text
    chunks = policy.spec.output_kind is OutputKind.CHUNKS
    assert ('executed per inference' in text, 'one for an instruction' in text) == (
        chunks,
        not chunks,
    )


def test_caches_are_those_of_the_contract(case):
    assert set(case.caches) <= set(CACHES)

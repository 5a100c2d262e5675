"""One forward pass of an AnoleVLA as an ONNX file, checked against the policy that runs here.

Physical units go in and come out. What is left to the caller is what is no arithmetic: the crop of
each image, and the tokens of the instruction; the metadata of the file say both.
"""

from __future__ import annotations

import json
import logging
import statistics
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robomamba_ros import __version__
from robomamba_ros.errors import BackendError, ConfigError, shortened
from robomamba_ros.mamba.block import Mixer
from robomamba_ros.mamba.norm import RMSNorm
from robomamba_ros.mamba.scan.dispatch import GRAPH
from robomamba_ros.mamba.state import LayerState, MambaState
from robomamba_ros.policies.anolevla.checkpoint import Parts, load, read_parts
from robomamba_ros.policies.anolevla.network import AnoleVLA, images_to_tensor
from robomamba_ros.policies.anolevla.policy import AnoleVLAPolicy
from robomamba_ros.policies.base import LoadOptions, fake_observation
from robomamba_ros.policies.normalization import Affine, Normalization
from robomamba_ros.types import Observation

# How far the actions of the file may be from the policy's, in their units.
TOLERANCE = 1e-4
# Observations that are compared; a carried state runs through them.
COMPARED = 5
# A file of the format holds no more.
LARGEST_BYTES = 2_000_000_000
PACKAGES = (
    "an export needs the packages onnx, onnxscript and onnxruntime: pip install -e '.[export]'"
)
STATES, NEW_STATES = ('conv', 'ssm'), ('new_conv', 'new_ssm')


@dataclass(frozen=True)
class Exported:
    """What came of an export.

    difference: the largest one between actions of the file and of the policy, in their units;
    onnx_s, torch_s: median time of an inference, on one thread [s].
    """

    difference: float
    onnx_s: float
    torch_s: float


class ForwardPass(nn.Module):
    """The network between physical units, on one observation.

    images (cameras, s, s, 3) uint8 RGB, as the crops of the configuration give them; state and
    previous_state (d_s,) float32; instruction (N_l,) int64. Returns actions (H, d_a) float32. With
    `streams` it takes and gives the state too: conv (n_layer, d_conv - 1, d_inner) and ssm
    (n_layer, d_inner, d_state), zeros at the start of an episode.
    """

    def __init__(self, network: AnoleVLA, normalization: Normalization, *, streams: bool) -> None:
        super().__init__()
        self.network, self.streams = network, streams
        for name in ('state', 'delta_state', 'action'):
            affine: Affine = getattr(normalization, name)
            self.register_buffer(f'{name}_offset', torch.tensor(affine.offset))
            self.register_buffer(f'{name}_scale', torch.tensor(affine.scale))

    def forward(
        self,
        images: Tensor,
        state: Tensor,
        previous_state: Tensor,
        instruction: Tensor,
        conv: Tensor | None = None,
        ssm: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Return the actions, and where it streams the state after them."""
        prefix, rest, _ = self.network.tokens(
            images_to_tensor(images)[None],
            self._normalized('state', state)[None],
            self._normalized('delta_state', state - previous_state)[None],
            instruction[None],
        )
        sequence = rest if prefix is None else torch.cat([prefix, rest], dim=1)
        carried = None
        if conv is not None and ssm is not None:
            layers = range(conv.shape[0])
            carried = MambaState(tuple(LayerState(conv[i : i + 1], ssm[i : i + 1]) for i in layers))
        hidden, after = self.network.backbone(sequence, carried)
        unit_actions = self.network.actions(hidden)[0]
        actions = unit_actions * self.get_buffer('action_scale') + self.get_buffer('action_offset')
        if not self.streams:
            return (actions,)
        return (
            actions,
            torch.cat([layer.conv for layer in after.layers]),
            torch.cat([layer.ssm for layer in after.layers]),
        )

    def _normalized(self, name: str, value: Tensor) -> Tensor:
        return (value - self.get_buffer(f'{name}_offset')) / self.get_buffer(f'{name}_scale')


def export(folder: Path, target: Path, options: LoadOptions) -> Exported:
    """Write the policy in a checkpoint directory to an ONNX file, and return how it compares.

    With `cache: stream` the carried state is an input and an output. The file is there once
    onnxruntime gives the policy's actions within TOLERANCE. Raises BackendError where a package is
    missing or the actions are others, ConfigError and CheckpointError for what cannot be exported.
    """
    runtime = _import_packages()
    options = replace(options, dtype='float32')
    policy, parts = load(folder, options), read_parts(folder, options)
    made = _forward_pass(parts, streams=options.cache == 'stream')
    program = _program(made)
    program.model.metadata_props.update(_metadata(parts, made.streams))
    partial = target.with_name(f'.{target.name}.partial')
    try:
        program.save(partial)
        exported = _compare(_session(runtime, partial), policy, parts, made)
        if exported.difference > TOLERANCE:
            raise BackendError(
                f'{target} is not written: actions in onnxruntime differ from the policy by '
                f'{exported.difference:.2g}, {TOLERANCE:g} is allowed. Try other releases of torch '
                'and onnxruntime'
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return exported


def _import_packages() -> Any:
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BackendError(f'{PACKAGES} ({error})') from error
    return onnxruntime


def _forward_pass(parts: Parts, *, streams: bool) -> ForwardPass:
    """Return what is traced; raises ConfigError where no file of the format can hold it."""
    network = parts.network
    name = network.config.spec.name
    if streams and network.config.constant_prefix:
        raise ConfigError(
            f"policy '{name}' reads its instruction at the start of an episode alone where it "
            'streams, which is two graphs; export it without --cache stream'
        )
    size = 4 * sum(parameter.numel() for parameter in network.parameters())
    if size > LARGEST_BYTES:
        raise ConfigError(f"policy '{name}' has {size / 1e9:.1f} GB of weights, ONNX holds 2 GB")
    network.compute_in(torch.float32)
    for module in network.modules():
        if isinstance(module, (Mixer, RMSNorm)):
            module.backend = GRAPH
    made = ForwardPass(network, parts.normalization, streams=streams)
    return made.eval().requires_grad_(False)


def _program(made: ForwardPass) -> Any:
    """Return the graph of a forward pass; raises BackendError where torch cannot make it."""
    inputs = _inputs(made)
    outputs = ('actions', *(NEW_STATES if made.streams else ()))
    log = logging.getLogger('torch.onnx')
    level = log.level
    log.setLevel(logging.ERROR)  # it misses packages that nothing here needs
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter('ignore')
            program = torch.onnx.export(
                made,
                tuple(inputs.values()),
                dynamo=True,
                external_data=False,
                verbose=False,
                input_names=list(inputs),
                output_names=list(outputs),
            )
    except Exception as error:  # the exporter raises kinds of its own
        raise BackendError(
            f'torch {torch.__version__} makes no graph of this policy, 2.13 does: '
            f'{shortened(" ".join(str(error).split()), 300)}'
        ) from error
    finally:
        log.setLevel(level)
    return program


def _inputs(made: ForwardPass) -> dict[str, Tensor]:
    """Return example inputs by name, the carried state that of an episode's start."""
    config = made.network.config
    side, cameras = config.vision.image_size, len(config.spec.cameras)
    inputs = {
        'images': torch.zeros(cameras, side, side, 3, dtype=torch.uint8),
        'state': torch.zeros(len(config.spec.state_names)),
        'previous_state': torch.zeros(len(config.spec.state_names)),
        'instruction': torch.zeros(config.language.length, dtype=torch.int64),
    }
    if made.streams:
        empty = MambaState.empty(config.backbone, 1)
        inputs['conv'] = torch.cat([layer.conv for layer in empty.layers])
        inputs['ssm'] = torch.cat([layer.ssm for layer in empty.layers]).contiguous()
    return inputs


def _metadata(parts: Parts, streams: bool) -> dict[str, str]:
    """Return what a caller has to know: texts, and lists and mappings as JSON."""
    config = parts.network.config
    spec = config.spec
    cameras = [
        {'name': camera.name, 'height': camera.height, 'width': camera.width}
        | {key: getattr(crop, key) for key in ('left', 'top', 'side', 'target')}
        for camera, crop in zip(spec.cameras, config.crops, strict=True)
    ]
    tokens = {text: parts.tokenizer.encode(text).tolist() for text in spec.instructions.trained}
    units = 'm, rad, quaternions x y z w, gripper opening 0..1; deltas are displacements since the '
    return {
        'robomamba_ros': __version__,
        'policy': spec.name,
        'cameras': json.dumps(cameras),
        'images': 'uint8 RGB: of each camera the square at left, top, shrunk to target by area',
        'state_names': json.dumps(spec.state_names),
        'action_space': spec.action_space.value,
        'action_names': json.dumps(spec.action_names),
        'units': f'{units}start of the chunk',
        'horizon': str(spec.horizon),
        'dt_ns': str(spec.dt_ns),
        'execute_steps': str(spec.execute_steps),
        'instruction_tokens': json.dumps(tokens),
        'streams': str(streams).lower(),
    }


def _session(runtime: Any, path: Path) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return runtime.InferenceSession(path, options, providers=['CPUExecutionProvider'])


def _compare(session: Any, policy: AnoleVLAPolicy, parts: Parts, made: ForwardPass) -> Exported:
    """Return how the file's actions differ from the policy's on made-up observations."""
    carried = {name: x.numpy() for name, x in _inputs(made).items() if name in STATES}
    differences, onnx_s, torch_s = [], [], []
    for seed in range(COMPARED):
        observation = fake_observation(policy.spec, seed)
        observation = replace(observation, previous_state=0.9 * observation.state)
        feed = {**_feed(observation, parts), **carried}
        start_s = time.perf_counter()
        actions, *after = session.run(None, feed)
        middle_s = time.perf_counter()
        expected = policy.infer(observation).actions
        torch_s.append(time.perf_counter() - middle_s)
        onnx_s.append(middle_s - start_s)
        carried = dict(zip(STATES, after, strict=False)) if made.streams else {}
        differences.append(float(np.abs(actions - expected).max()))
    # Not a number is no parity either.
    worst = max(differences) if np.isfinite(differences).all() else float('inf')
    return Exported(worst, statistics.median(onnx_s), statistics.median(torch_s))


def _feed(observation: Observation, parts: Parts) -> dict[str, NDArray[Any]]:
    config = parts.network.config
    views = zip(config.spec.cameras, config.crops, strict=True)
    text = config.spec.instructions.spelled(observation.instruction)
    return {
        'images': np.stack([crop(observation.images[camera.name]) for camera, crop in views]),
        'state': observation.state,
        'previous_state': observation.previous_state,
        'instruction': np.asarray(parts.tokenizer.encode(text), dtype=np.int64),
    }

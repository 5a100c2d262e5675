"""The settings of a training run of AnoleVLA, checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from robomamba_ros.errors import ConfigError, unknown_name
from robomamba_ros.policies.base import TRAINING_DTYPES
from robomamba_ros.training.anolevla.augmentation import Augmentation
from robomamba_ros.training.anolevla.state_noise import StateNoise
from robomamba_ros.training.shared.optimization import cosine
from robomamba_ros.types import ActionSpace

LOCALIZATIONS = ('simulator', 'demonstrations')


@dataclass(frozen=True)
class TrainConfig:
    """What a run does; config/training/*.yaml hold one of these each.

    docs/training.md explains the settings with examples.
    """

    # Demonstration store or LeRobot data set to train on.
    data: str
    # Folder of the run.
    output: str
    # n: every n-th frame of a LeRobot data set is taken.
    data_every: int = 1
    # What a LeRobot data set's actions are, where their names do not say it.
    action_space: str = ''
    # n: the first n episodes of each instruction; 0: all.
    episodes: int = 0
    # Steps that minimise the velocity loss alone, and steps with the acceleration loss added.
    stage1_steps: int = 12_000
    stage2_steps: int = 3_000
    # Samples of one step, over all processes.
    batch_size: int = 64
    # AdamW's largest rate, reached after `warmup_steps`; a cosine over both stages leads to the
    # final one.
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    warmup_steps: int = 300
    # AdamW's decay of matrices; vectors and Mamba's A and D do not decay.
    weight_decay: float = 1e-2
    # Norm to which the gradient is clipped.
    gradient_norm: float = 1.0
    # Share of the averaged weights that each step keeps, 0 .. 1; the checkpoint holds the averaged
    # ones. 0: no average.
    ema_decay: float = 0.999
    # The paper's lambda_acc, whose value it does not state.
    acceleration_weight: float = 0.5
    # Weight of the loss on where things are, in space and in the images; 0 turns it off.
    localization_weight: float = 0.2
    # Weight of the loss on the heat maps in which they are looked for; 0 turns it off.
    heat_weight: float = 0.0
    # What says where they are: `simulator`, of object, goal and hand; or `demonstrations`, whose
    # hand goes to where it matters, which those of any robot do.
    localization: str = 'simulator'
    # Contract of the arm (config/arms by name, or a path): for data of its joints, and for the
    # places of its cameras.
    arm: str = ''
    # By camera, what its image shows from the left edge to the right [degrees]. A camera that is
    # named has to have its place in the contract; in the others points are not looked for.
    field_of_view: dict[str, float] = field(default_factory=dict)
    # Type of the matrix products: float32 or bfloat16; auto: bfloat16 where the device is fast in
    # it. Weights and optimizer stay float32.
    dtype: str = 'auto'
    # Of everything random: the same seed repeats a run.
    seed: int = 0
    # CPU threads of each process.
    threads: int = 2
    # Steps between two writings of the state.
    save_every: int = 500
    # Steps that one line of metrics.jsonl is a mean over.
    log_every: int = 10
    # A file of config/policies by name, or a path. Its cameras, state, actions and dt are replaced
    # by those of the data.
    policy: str = 'anolevla-small'
    # A checkpoint to start from, in the place of `policy`.
    initial: str = ''
    # File of the published weights that `vision: efficientnet_lite0` begins with; empty: that of
    # the installed package.
    vision_weights: str = ''
    # Whether the published part of the vision stays as it is, or all of an `initial` checkpoint's
    # that sees by keypoints.
    freeze_vision: bool = False
    # n: what a frozen vision makes of each frame is computed once and kept on disk, in n
    # variants, the first as it is and the others with the changes below; 0: at every step.
    map_variants: int = 0
    # What the kept maps may take.
    maps_gigabytes: float = 10.0
    # cpu, cuda or cuda:N.
    device: str = 'cpu'
    # Inferences over which the recurrent state is carried, execute_steps of the policy apart;
    # 1: it is not carried. Must divide batch_size.
    streaming: int = 1
    # n: a sequence goes on over n steps, which take `streaming` inferences each. The state is
    # handed from one to the next, gradients stay within one; 1: a sequence ends with its step.
    stream_segments: int = 1
    # Share of the sequences that are left for another, which begins without a state, at each of
    # these steps, 0 .. 1; the others end with their episode.
    stream_resets: float = 0.0
    # Table of config/paraphrases by name, or a path, by which half of the inferences are told the
    # instruction in other words; empty: all are told it as the data spells it.
    paraphrases: str = ''
    # Random changes of the images; Augmentation has their units. 0: none.
    augment_shift: int = 0
    augment_rotation: float = 0.0
    augment_zoom: float = 0.0
    augment_perspective: float = 0.0
    augment_brightness: float = 0.0
    augment_contrast: float = 0.0
    augment_color: float = 0.0
    augment_blur: float = 0.0
    augment_noise: float = 0.0
    augment_jpeg: int = 0
    augment_erase: float = 0.0
    # Deviation of noise on the measured state, in units of each channel's own in the data, and the
    # steps in which the actions lead back from there; 0: they stay as they are.
    state_noise: float = 0.0
    recovery_steps: int = 0
    # Share of the inferences that are given no state, or not how it changes, 0 .. 1.
    state_dropout: float = 0.0
    delta_dropout: float = 0.0
    # Share of each instruction's episodes that is held out for validation, 0 .. 1; 0: none.
    validation_share: float = 0.0
    # Or another data set of the same kind to validate on; empty: none.
    validation_data: str = ''
    # Steps between two validations, and at most how many samples each reads.
    validation_every: int = 1000
    validation_samples: int = 2048
    # n: a stage ends after n validations without a smaller error; 0: at its last step.
    patience: int = 0
    # By instruction, how much more often than others it is drawn; 1 where it is not named.
    emphasis: dict[str, float] = field(default_factory=dict)
    # By camera, the share of the sequences in which it shows black, 0 .. 1. The policy can then
    # run without that camera.
    camera_dropout: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.stage1_steps + self.stage2_steps <= 0 or self.batch_size <= 0:
            raise ConfigError('a training run needs stage1_steps + stage2_steps > 0 and a batch')
        counts = ('save_every', 'log_every', 'data_every', 'validation_every')
        for name in (*counts, 'streaming', 'stream_segments'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} is {getattr(self, name)}; give at least 1')
        if self.batch_size % self.streaming:
            raise ConfigError(
                f'batch_size ({self.batch_size}) must be a multiple of streaming '
                f'({self.streaming}): a batch is made of whole sequences'
            )
        if self.stream_segments > 1 and self.streaming == 1:
            raise ConfigError(
                'stream_segments hands on a carried state; it needs streaming of 2 or more'
            )
        for camera, share in self.camera_dropout.items():
            if share >= 1.0:
                raise ConfigError(f'camera_dropout of {camera} is {share}; give less than 1')
        if self.localization not in LOCALIZATIONS:
            raise ConfigError(unknown_name('localization', self.localization, LOCALIZATIONS))
        if self.dtype not in TRAINING_DTYPES:
            raise ConfigError(unknown_name('dtype', self.dtype, TRAINING_DTYPES))
        if self.action_space and self.action_space not in list(ActionSpace):
            spaces = [space.value for space in ActionSpace]
            raise ConfigError(unknown_name('action_space', self.action_space, spaces))
        if self.map_variants and (not self.freeze_vision or self.camera_dropout):
            raise ConfigError(
                'map_variants keeps what a vision that does not change sees of whole frames: it '
                'needs freeze_vision: true, and no camera_dropout'
            )
        if self.validation_share and self.validation_data:
            raise ConfigError('give validation_share or validation_data, not both')
        if self.patience and not self.validates:
            raise ConfigError('patience needs validation_share or validation_data')

    @property
    def validates(self) -> bool:
        """Whether anything is held out to measure the error on."""
        return bool(self.validation_share or self.validation_data)

    @property
    def sequence(self) -> int:
        """Inferences over which the state is carried."""
        return self.streaming * self.stream_segments

    @property
    def augmentation(self) -> Augmentation:
        """How images are changed."""
        prefix = 'augment_'
        names = (field.name for field in fields(self) if field.name.startswith(prefix))
        return Augmentation(**{name.removeprefix(prefix): getattr(self, name) for name in names})

    @property
    def state_changes(self) -> StateNoise:
        """How states are changed."""
        return StateNoise(
            self.state_noise, self.recovery_steps, self.state_dropout, self.delta_dropout
        )

    def check_processes(self, count: int) -> None:
        """Raise ConfigError where a run cannot be shared by so many processes."""
        sequences = self.batch_size // self.streaming
        if sequences < count:
            raise ConfigError(
                f'a batch is {sequences} sequences, fewer than the {count} processes; give a '
                'larger batch_size'
            )
        if count > 1 and self.stream_segments > 1:
            raise ConfigError(
                'only one process keeps the state that stream_segments hands on; run one, or set '
                'stream_segments: 1'
            )

    def rate(self, step: int) -> float:
        """Return the learning rate of a step: linear warm-up, then a cosine to the final rate."""
        peak, final = self.learning_rate, self.final_learning_rate
        if step < self.warmup_steps:
            return peak * (step + 1) / self.warmup_steps
        return cosine(step, self.warmup_steps, self.steps, peak=peak, final=final)

    @property
    def steps(self) -> int:
        """Steps of both stages."""
        return self.stage1_steps + self.stage2_steps

"""The settings of a training run of AnoleVLA, checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from robomamba_ros.errors import ConfigError, unknown_name
from robomamba_ros.policies.base import DTYPES
from robomamba_ros.training.anolevla.augmentation import Augmentation
from robomamba_ros.types import ActionSpace


@dataclass(frozen=True)
class TrainConfig:
    """What a run does; config/training/*.yaml holds one of these, docs/training.md explains it.

    data: a demonstration store or a LeRobot data set; of the latter every data_every-th frame is
    taken, and action_space says what its actions are where their names do not. episodes: of each
    instruction, the first of these; 0 for all. policy: a file of config/policies by name, or a
    path; its cameras, state and actions give way to those of the data. initial: a checkpoint to
    start from, in the place of `policy`. emphasis: how much more often than others an instruction
    is drawn. camera_dropout: in which share of the sequences a camera shows black; the policy can
    do without such a camera then.

    acceleration_weight is the paper's lambda_acc (not stated there); localization_weight 0 turns
    the localisation loss off. streaming: ticks over which the state is carried, execute_steps of
    the policy apart; 1 for none. augment_*: see Augmentation.

    validation_share: of the episodes, or validation_data: another store; both empty for none.
    validation_samples: at most. patience: validations without a better error that end a stage, 0
    for no such end. device: cpu, cuda or cuda:N; threads: CPU threads to use, of each process.
    dtype: of the products, float32 or bfloat16; auto: bfloat16 where the device is fast in it.
    """

    data: str
    output: str
    data_every: int = 1
    action_space: str = ''
    episodes: int = 0
    stage1_steps: int = 12_000
    stage2_steps: int = 3_000
    batch_size: int = 64
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    warmup_steps: int = 300
    weight_decay: float = 1e-2
    gradient_norm: float = 1.0
    ema_decay: float = 0.999
    acceleration_weight: float = 0.5
    localization_weight: float = 0.2
    dtype: str = 'auto'
    seed: int = 0
    threads: int = 2
    save_every: int = 500
    log_every: int = 10
    policy: str = 'anolevla-small'
    initial: str = ''
    device: str = 'cpu'
    streaming: int = 1
    augment_shift: int = 0
    augment_brightness: float = 0.0
    augment_contrast: float = 0.0
    augment_color: float = 0.0
    validation_share: float = 0.0
    validation_data: str = ''
    validation_every: int = 1000
    validation_samples: int = 2048
    patience: int = 0
    emphasis: dict[str, float] = field(default_factory=dict)
    camera_dropout: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.stage1_steps + self.stage2_steps <= 0 or self.batch_size <= 0:
            raise ConfigError('a training run needs stage1_steps + stage2_steps > 0 and a batch')
        for name in ('save_every', 'log_every', 'data_every', 'validation_every', 'streaming'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} is {getattr(self, name)}; give at least 1')
        if self.batch_size % self.streaming:
            raise ConfigError(
                f'batch_size ({self.batch_size}) must be a multiple of streaming '
                f'({self.streaming}): a batch is made of whole sequences'
            )
        for camera, share in self.camera_dropout.items():
            if share >= 1.0:
                raise ConfigError(f'camera_dropout of {camera} is {share}; give less than 1')
        if self.dtype not in DTYPES:
            raise ConfigError(unknown_name('dtype', self.dtype, DTYPES))
        if self.action_space and self.action_space not in list(ActionSpace):
            spaces = [space.value for space in ActionSpace]
            raise ConfigError(unknown_name('action_space', self.action_space, spaces))
        if self.validation_share and self.validation_data:
            raise ConfigError('give validation_share or validation_data, not both')
        if self.patience and not self.validates:
            raise ConfigError('patience needs validation_share or validation_data')

    @property
    def validates(self) -> bool:
        """Whether anything is held out to measure the error on."""
        return bool(self.validation_share or self.validation_data)

    @property
    def augmentation(self) -> Augmentation:
        """How images are changed."""
        return Augmentation(
            self.augment_shift, self.augment_brightness, self.augment_contrast, self.augment_color
        )

    @property
    def steps(self) -> int:
        """Steps of both stages."""
        return self.stage1_steps + self.stage2_steps

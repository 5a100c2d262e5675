"""AnoleVLA as a policy of LeRobot; LeRobot imports this package by its name and finds it."""

from .configuration_anolevla import AnolevlaConfig
from .modeling_anolevla import AnolevlaPolicy
from .processor_anolevla import make_anolevla_pre_post_processors

__all__ = ['AnolevlaConfig', 'AnolevlaPolicy', 'make_anolevla_pre_post_processors']

"""Ways in which a fake arm does not do what it is told, each an option, and all to be combined.

A stand-in that is by construction where it was told to be cannot show what happens when an arm
lags, is blocked, stopped or moved by somebody else.
"""

from robomamba_ros.simulation.disagreement.config import Disagreement, read_disagreement

__all__ = ['Disagreement', 'read_disagreement']

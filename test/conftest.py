"""Settings every test needs before its first import."""

import os

# MuJoCo chooses its renderer when it is imported, whichever test imports it first.
os.environ.setdefault('MUJOCO_GL', 'egl')

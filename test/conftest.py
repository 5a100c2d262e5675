"""Settings every test needs before its first import."""

import os

# MuJoCo chooses its renderer when it is imported, whichever test imports it first.
os.environ.setdefault('MUJOCO_GL', 'egl')
# One thread: on two cores a busy neighbour makes OpenMP threads wait for each other.
os.environ.setdefault('OMP_NUM_THREADS', '1')

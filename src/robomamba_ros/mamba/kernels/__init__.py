"""What the compiled CPU kernels share; needs numba, so only chosen backends import it."""

"""Triton kernels of scan and convolution; needs triton, so only chosen backends import it."""

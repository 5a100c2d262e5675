"""The selective scan: one function, several backends of one signature."""

from robomamba_ros.mamba.scan.dispatch import available_backends, resolve_backend, selective_scan

__all__ = ['available_backends', 'resolve_backend', 'selective_scan']

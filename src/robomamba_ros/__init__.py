"""Mamba-based robot policies in real time under ROS 2."""

__version__ = '0.1.0'

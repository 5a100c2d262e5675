"""Policies of LeRobot, run by the package lerobot where it is installed."""

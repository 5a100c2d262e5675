"""Rigid transforms and camera geometry."""

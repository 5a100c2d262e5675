"""Trains RoboMamba policies."""

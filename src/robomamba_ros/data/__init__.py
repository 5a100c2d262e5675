"""Demonstrations: how they are recorded, stored and read."""

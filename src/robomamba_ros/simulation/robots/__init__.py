"""Robots with masses, motors and contacts in MuJoCo, behind the controllers of their contracts."""

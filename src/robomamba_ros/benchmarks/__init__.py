"""Measures this package on this machine: `robomamba bench`."""

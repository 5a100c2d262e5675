"""Demonstrations of scripted experts in simulation, written as data sets."""

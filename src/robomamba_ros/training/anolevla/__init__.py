"""Trains AnoleVLA policies."""

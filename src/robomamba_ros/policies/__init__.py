"""Policies: an observation goes in, an action chunk comes out."""

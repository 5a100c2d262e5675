"""The stand-in for any arm as a node."""

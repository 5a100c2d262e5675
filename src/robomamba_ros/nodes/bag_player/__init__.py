"""The player of recordings as a node."""

"""Mamba-1 for embeddings: the selective scan, the layers, the recurrent state."""

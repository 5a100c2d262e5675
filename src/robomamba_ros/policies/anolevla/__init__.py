"""AnoleVLA (Takagi et al. 2026, arXiv 2603.15046): tokens of state, images and instruction go
through a Mamba backbone, and a linear head turns the last one into a chunk of actions."""

"""RoboMamba (Liu et al., NeurIPS 2024): an image and a question go through a Mamba language model;
it answers in words, and a small head turns its hidden states into an end-effector pose."""

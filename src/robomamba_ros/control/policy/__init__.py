"""From camera images and states to action chunks: observations, inference, questions."""
